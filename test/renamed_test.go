package test_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Marks decide which steps are ours, not names: under another module path everything behaves the
// same.
func TestTheModuleCanBeRenamed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles the module a second time")
	}
	dir := t.TempDir()
	copyRenamed(t, "..", dir, "example.com/else/where")
	for _, args := range [][]string{
		{"./pipe", "./internal/...", "./proxy"},
		{"-run", "Described|CodeCan|AStreamIsNoDocument", "./test"},
	} {
		cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-count=1"}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), "ok  \texample.com/else/where/")
		assert.NotContains(t, string(out), "no tests to run")
	}
}

// copyRenamed copies the root module without its nested ones, under another import path.
func copyRenamed(t *testing.T, from, to, path string) {
	err := filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(file, "go.mod"))
			if rel != "." && (nested == nil || strings.HasPrefix(d.Name(), ".")) {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if strings.HasSuffix(rel, ".go") || rel == "go.mod" {
			b = bytes.ReplaceAll(b, []byte(module), []byte(path))
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
	require.NoError(t, err)
}
