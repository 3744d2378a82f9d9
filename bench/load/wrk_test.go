package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const wrkOutput = `Running 3s test @ http://127.0.0.1:8080/1k/a/1
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.58ms    2.55ms  21.29ms   67.85%
    Req/Sec     9.65k   806.83    10.89k    66.67%
  28789 requests in 3.00s, 35.50MB read
`

func TestOutputOfWrk(t *testing.T) {
	t.Parallel()
	got, read, err := parseWrk(wrkOutput + "Requests/sec:   9596.12\nTransfer/sec:     11.83MB\n")
	require.NoError(t, err)
	assert.Equal(t, tally{Requests: 28789, Elapsed: 3 * time.Second}, got)
	assert.InDelta(t, 35.5*1024*1024, read, 1)

	_, _, err = parseWrk(wrkOutput + "  Non-2xx or 3xx responses: 3\n")
	assert.EqualError(t, err, "wrk: Non-2xx or 3xx responses: 3")
	_, _, err = parseWrk(wrkOutput + "  Socket errors: connect 0, read 3, write 0, timeout 0\n")
	assert.EqualError(t, err, "wrk: Socket errors: connect 0, read 3, write 0, timeout 0")
	_, _, err = parseWrk("unable to connect")
	assert.Error(t, err)
}
