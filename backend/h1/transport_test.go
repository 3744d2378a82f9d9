package h1_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestARequestArrivesAndItsAnswerComesBack(t *testing.T) {
	t.Parallel()
	url := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush()
		}
		_, _ = fmt.Fprintf(w, "%s %s %d %d %v %s", r.Method, r.RequestURI, len(b), r.ContentLength, r.TransferEncoding, r.Trailer)
	})
	transport := newTransport(t)
	large := strings.Repeat("x", 1<<20)
	tests := []struct {
		name    string
		body    io.Reader
		arrives string
	}{
		{"no body", nil, "0 0 [] map[]"},
		{"in memory", strings.NewReader("abc"), "3 3 [] map[]"},
		{"large and in memory", bytes.NewReader([]byte(large)), "1048576 1048576 [] map[]"},
		{"of unknown length", stream{strings.NewReader("abc")}, "3 -1 [chunked] map[]"},
		{"large and of unknown length", stream{strings.NewReader(large)}, "1048576 -1 [chunked] map[]"},
	}
	for _, tt := range tests {
		for _, path := range []string{"/length?a=b", "/chunked"} {
			for range 2 { // the second time on a connection that was used before
				req, err := http.NewRequestWithContext(t.Context(), "PUT", url+path, tt.body)
				require.NoError(t, err)
				res, err := transport.RoundTrip(req)
				require.NoError(t, err, tt.name)
				got, err := io.ReadAll(res.Body)
				assert.NoError(t, err)
				assert.NoError(t, res.Body.Close())
				assert.Equal(t, 200, res.StatusCode)
				assert.Equal(t, "PUT "+path+" "+tt.arrives, string(got), tt.name)
				switch body := tt.body.(type) {
				case io.Seeker:
					_, _ = body.Seek(0, io.SeekStart)
				case stream:
					_, _ = body.Reader.(io.Seeker).Seek(0, io.SeekStart)
				}
			}
		}
	}
}
