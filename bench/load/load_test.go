package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// brief measures rows in rounds that are too short to say anything.
func brief(t *testing.T, args ...string) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	var out, progress bytes.Buffer
	err := run(t.Context(), append([]string{"-rounds", "2", "-time", "20ms", "-warmup", "0", "-connections", "4", "-idle", "40",
		"-idle-upstream", "40", "-bytes", "100000", "-generator", "own"}, args...), &out, &progress)
	require.NoError(t, err, progress.String())
	return out.String()
}

func TestEveryRowIsMeasured(t *testing.T) {
	t.Parallel()
	out := brief(t)
	for _, r := range table {
		assert.Contains(t, out, "| "+r.name+" ", "in the report")
	}
	assert.NotContains(t, out, "not measured")
	if nginxPath() != "" {
		assert.Contains(t, out, "| stream up, nginx |")
	}
}

func TestProfilesOfTheGateway(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "profiles")
	brief(t, "-rows", "^passthrough 1 KB$", "-rounds", "1", "-profile", dir)
	for _, name := range []string{"passthrough-1-KB.cpu", "passthrough-1-KB.allocs"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, "\x1f\x8b", string(text[:2]), "%s is a profile", name)
	}
}

func TestListOfRows(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-list"}, &out, &out))
	assert.Equal(t, len(table), strings.Count(out.String(), "\n"))
	assert.Contains(t, out.String(), "≤ 0.82×")
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-rows", "("}, {"-generator", "ab"}, {"-rounds", "0"}, {"-transport", "carrier pigeon", "-rounds", "1", "-time", "1ms"}} {
		var out bytes.Buffer
		assert.Error(t, run(t.Context(), args, &out, &out), "%q", args)
	}
}
