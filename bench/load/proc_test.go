package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
