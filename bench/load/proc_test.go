package main

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGrowthOfAProcess(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	p := &process{cmd: &exec.Cmd{Process: self}}
	growth, err := p.growth()
	if err != nil {
		t.Skip(err)
	}
	const size = 64 << 20
	used := bytes.Repeat([]byte{1}, size)
	assert.Greater(t, growth(), float64(size)/2)
	runtime.KeepAlive(used)
}

func TestStatOfAProcess(t *testing.T) {
	t.Parallel()
	s, err := parseStat([]byte("4711 (a ) b (c) S 42 4711 4711 0 -1 4194304 100 0 0 0 150 50 7 7 20 0 5 0 100 200000000 300 18446744073709551615 1 1 0\n"))
	require.NoError(t, err)
	assert.Equal(t, stat{pid: 4711, parent: 42, used: 2 * time.Second, resident: 300 * int64(os.Getpagesize())}, s)

	for _, text := range []string{"", "4711 (a", "4711 (a) S 42", "x (a) S 42 4711 4711 0 -1 4194304 100 0 0 0 150 50 7 7 20 0 5 0 100 200000000 300 1"} {
		_, err := parseStat([]byte(text))
		assert.Error(t, err, "%q", text)
	}
}
