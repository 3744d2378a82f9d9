//go:build !race

package bench_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A counted body counts what is read of it by code above net/http.
type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// proves F9
func TestAThousandBodiesWithoutATokenAreNeitherReadNorKept(t *testing.T) {
	const requests, size = 1000, 1 << 20
	leaf := pipe.Describe(func(context.Context, *proxy.Request) (*proxy.Response, error) { return &proxy.Response{}, nil },
		pipe.Step{Kind: "leaf", Effects: pipe.Terminal | pipe.HonoursContext})
	h, err := endpoint.New(endpoint.Spec{Proxy: leaf, Guards: []proxy.Decorator{auth.Require(auth.APIKeys(auth.NewKeys()))}})
	require.NoError(t, err)
	var read atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = counted{r.Body, &read}
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	head, body := []byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n"), make([]byte, size)
	reader := bufio.NewReader(nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range requests {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		require.NoError(t, err)
		_, err = conn.Write(head)
		require.NoError(t, err)
		_, _ = conn.Write(body[:64<<10]) // as much as a client has sent before it knows
		reader.Reset(conn)
		line, err := reader.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 401 Unauthorized\r\n", line)
		_ = conn.Close()
	}
	runtime.ReadMemStats(&after)
	assert.Zero(t, read.Load())
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
	t.Logf("%d requests allocated %d KiB", requests, (after.TotalAlloc-before.TotalAlloc)>>10)
}
