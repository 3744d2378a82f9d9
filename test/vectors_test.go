package test_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vectorsFolder returns the folder with the test vectors of other projects: the one that
// SLUICE_VECTORS names, else shared/vectors beside the folder of go.work. If there is none, the
// test is skipped.
func vectorsFolder(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("SLUICE_VECTORS")
	if folder == "" {
		root, err := os.Getwd()
		require.NoError(t, err)
		for {
			if _, err := os.Stat(filepath.Join(root, "go.work")); err == nil {
				break
			}
			above := filepath.Dir(root)
			if above == root {
				t.Skip("no vectors: SLUICE_VECTORS is not set, and there is no go.work to find them by")
			}
			root = above
		}
		folder = filepath.Join(filepath.Dir(root), "shared", "vectors")
	}
	if _, err := os.Stat(folder); err != nil {
		t.Skip("no vectors: ", err)
	}
	return folder
}

// The repository has copies of the small vectors. If the originals are there, the copies must be
// the same.
func TestCopiesOfVectorsAreWhole(t *testing.T) {
	t.Parallel()
	folder := vectorsFolder(t)
	files := func(pattern string) map[string]string {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		content := map[string]string{}
		for _, name := range names {
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			content[filepath.Base(name)] = string(b)
		}
		require.NotEmpty(t, content, pattern)
		return content
	}
	assert.Equal(t, files(filepath.Join(folder, "JSONTestSuite", "test_parsing", "*.json")), files("../proxy/document/testdata/jsontestsuite/*.json"))
	assert.Equal(t, files(filepath.Join(folder, "blns", "*.json")), files("../proxy/document/testdata/blns/*.json"))
	assert.Subset(t, files(filepath.Join(folder, "wycheproof", "*.json")), files("../endpoint/jwt/testdata/wycheproof/*.json"))
	assert.Subset(t, files(filepath.Join(folder, "jose-cookbook", "*", "*.json")), files("../endpoint/jwt/testdata/jose-cookbook/*.json"))

	var originals []string
	names, err := filepath.Glob(filepath.Join(folder, "llhttp-md", "test", "request", "*.md"))
	require.NoError(t, err)
	for _, name := range names {
		for _, r := range readLLHTTP(t, name) {
			originals = append(originals, string(r.bytes))
		}
	}
	var copies []string
	for _, r := range readLLHTTP(t, "testdata/llhttp/requests.md") {
		copies = append(copies, string(r.bytes))
	}
	assert.Equal(t, originals, copies)
}
