package test_test

import (
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

const mib = 1 << 20

// allocated returns how many bytes the process allocates while f runs: an upper bound of what f
// holds at a time.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// wrote is an upstream that answers with bytes made in advance.
func wrote(header, body string) script {
	text := []byte("HTTP/1.1 200 OK\r\n" + header + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	return func(c *wire, _ *http.Request) bool {
		_, err := c.Write(text)
		return err == nil
	}
}

// These tests are not parallel: they measure what the process allocates.
//
// proves F6, M9, M10, L7, L8
func TestTheHeapOfAnAnswerIsBounded(t *testing.T) {
	long := `"` + strings.Repeat("x", 8*mib-20) + `"`
	spaces := []byte(strings.Repeat(" ", 32<<10))
	endless := func(c *wire, _ *http.Request) bool {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		for err == nil {
			_, err = c.Write(spaces)
		}
		return false
	}
	tests := []struct {
		name   string
		up     script // of each of three parts
		status int
		limit  uint64
	}{
		{"three parts of 8 MiB", wrote("", `{"x":`+long+`}`), 200, 3 * (4*8*mib + mib)},
		{"three parts of 100 bytes", wrote("", `{"x":"`+strings.Repeat("x", 90)+`"}`), 200, 3 * (4*100 + mib)},
		{"three bombs of 256 MiB", wrote("Content-Encoding: gzip\r\n", strings.Repeat(zip(strings.Repeat(" ", 16*mib)), 16)), 502, 3 * (8 + 32) * mib},
		{"three bodies without end", endless, 502, 3 * 64 * mib},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := inMemory(t)
			var parts []proxy.Part
			for _, name := range []string{"a", "b", "c"} {
				w.upstream(name, tt.up)
				parts = append(parts, proxy.Grouped(name, w.backend(backend.Spec{Name: name})))
			}
			c := w.serve(endpoint.Spec{Proxy: proxy.Merge(parts...)})
			var status int
			n := allocated(func() { status = w.status(c) })
			assert.Equal(t, tt.status, status)
			assert.Less(t, n, tt.limit)
			t.Logf("%d KiB", n>>10)
		})
		t.Run(tt.name+", one of them alone", func(t *testing.T) {
			w := inMemory(t)
			w.upstream("a", tt.up)
			c := w.serve(endpoint.Spec{Proxy: w.backend(backend.Spec{Name: "a"})})
			var status int
			n := allocated(func() { status = w.status(c) })
			assert.Equal(t, tt.status, status)
			assert.Less(t, n, min(tt.limit/3, 64*mib))
			t.Logf("%d KiB", n>>10)
		})
	}
}

// proves F7, L9, M24
func TestAHugeRequestBodyCostsNothing(t *testing.T) {
	for _, announced := range []bool{true, false} {
		w := inMemory(t)
		w.upstream("a", wrote("", `{}`))
		w.upstream("b", wrote("", `{}`))
		c := w.serve(endpoint.Spec{Proxy: proxy.Merge(proxy.Part{Proxy: w.backend(backend.Spec{Name: "a"})}, proxy.Part{Proxy: w.backend(backend.Spec{Name: "b"})})})
		r, err := http.NewRequest("POST", "http://gateway/", io.LimitReader(zeros{}, 256*mib))
		require.NoError(t, err)
		if announced {
			r.ContentLength = 256 * mib
		}
		n := allocated(func() {
			res, err := c.Do(r)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
		})
		assert.Less(t, n, uint64(8*mib), "announced %t", announced)
		assert.Zero(t, w.calls["a"].Load()+w.calls["b"].Load())
	}
}

// proves M10
func TestALongStreamNeedsConstantMemory(t *testing.T) {
	const size = 256 * mib
	piece := make([]byte, 64<<10)
	w := onLoopback(t) // a deadline of a pipe in memory allocates
	w.upstream("up", func(c *wire, _ *http.Request) bool {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(size)+"\r\n\r\n")
		for i := 0; i < size/len(piece) && err == nil; i++ {
			_, err = c.Write(piece)
		}
		return err == nil
	})
	c := w.serve(endpoint.Spec{Proxy: w.backend(backend.Spec{Name: "up", Decode: backend.Passthrough})})
	n := allocated(func() { assert.Equal(t, http.StatusOK, w.status(c)) })
	assert.Less(t, n, uint64(mib))
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
