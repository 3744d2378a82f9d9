package test_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	statementRow  = regexp.MustCompile(`(?m)^\| ([CDHUFTMLO]\d+) \|`)
	testComment   = regexp.MustCompile(`(?m)((?:^//[^\n]*\n)+)^func ((?:Test|Fuzz)\w+)\(`)
	provesComment = regexp.MustCompile(`(?m)^// proves (.+)$`)
	statementID   = regexp.MustCompile(`\b[CDHUFTMLO]\d+\b`)
)

// TestEveryStatementIsProven compares the ids of docs/hardening.md with the comments above the
// tests.
func TestEveryStatementIsProven(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/hardening.md")
	require.NoError(t, err)
	due := map[string]bool{}
	for _, row := range statementRow.FindAllStringSubmatch(string(page), -1) {
		assert.False(t, due[row[1]], "%s is there twice", row[1])
		due[row[1]] = true
	}
	proven := map[string][]string{}
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == ".git" {
			return skipGit(d)
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, test := range testComment.FindAllStringSubmatch(string(src), -1) {
			comment, name := test[1], test[2]
			for _, line := range provesComment.FindAllStringSubmatch(comment, -1) {
				for _, id := range statementID.FindAllString(line[1], -1) {
					proven[id] = append(proven[id], name)
				}
			}
		}
		return err
	}))
	for id := range due {
		assert.NotEmpty(t, proven[id], "no test proves %s", id)
	}
	for id, tests := range proven {
		assert.True(t, due[id], "%v prove %s, which is not in docs/hardening.md", tests, id)
	}
}

// skipGit skips .git, which is a folder, or a file in a linked work tree. It changes all the time,
// and the go command does not cache a test that reads it.
func skipGit(d fs.DirEntry) error {
	if d.IsDir() {
		return filepath.SkipDir
	}
	return nil
}
