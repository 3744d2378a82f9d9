package endpoint_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

// From raw bytes of a client to those that an upstream gets, in every way a body may go.
//
// proves H4, H5, H6
func TestAForgedNameOfAClientReachesNoUpstream(t *testing.T) {
	t.Parallel()
	var sent http.Header
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Clone()
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{}`)
	}))
	t.Cleanup(upstream.Close)
	tr := backend.NewDefaultTransport()
	t.Cleanup(tr.CloseIdleConnections)
	user := func(value string) proxy.Decorator {
		return func(next proxy.Proxy) proxy.Proxy {
			return func(ctx ctx, req *proxy.Request) (*proxy.Response, error) {
				if value != "" { // else the claim is absent
					req.Upstream.Set("X-User", value)
				}
				return next(ctx, req)
			}
		}
	}
	var lines strings.Builder
	managed := []string{"X-User", "X-Request-Id", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Te",
		"Connection", "Proxy-Authorization", "X-Forwarded-For", "X-Real-Ip"}
	for _, name := range managed {
		for _, spelling := range twinsOf(name) {
			fmt.Fprintf(&lines, "%s: forged\r\n", spelling)
		}
	}
	for _, name := range []string{"X-User", "x-uSER"} {
		fmt.Fprintf(&lines, "%s: forged\r\n", name)
	}
	for _, claim := range []string{"", "ada"} {
		for _, stream := range []bool{false, true} {
			for _, headers := range [][]string{{"*", "-X-User"}, {"*", "-X-Other"}, {"X-Kept", "X-Request-Id", "Content-Type"}} {
				decode := backend.Decoder(backend.JSON)
				if stream {
					decode = backend.Passthrough
				}
				up, err := backend.HTTP{Transport: tr}.New(backend.Spec{Method: "POST", URL: upstream.URL, Decode: decode, Headers: headers})
				require.NoError(t, err)
				srv, _ := startServer(t, newHandler(t, endpoint.Spec{Stream: stream, Proxy: up.With(user(claim))}))
				sent = nil
				answer := rawExchange(t, srv, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Kept: 1\r\nX-Request-Id: id-1\r\nContent-Type: a/b\r\n"+
					"Content-Length: 5\r\n"+lines.String()+"\r\nhello", false)
				require.True(t, strings.HasPrefix(answer, "HTTP/1.1 200 "), answer)
				where := fmt.Sprintf("claim %q, stream %v, %v", claim, stream, headers)
				if claim == "" && headers[1] == "-X-Other" { // what protects is missing
					assert.Contains(t, sent["X_user"], "forged")
					continue
				}
				for name, values := range sent {
					assert.NotContains(t, values, "forged", "%s: %s", where, name)
				}
				assert.Equal(t, "1", sent.Get("X-Kept"), where)
				assert.Equal(t, "id-1", sent.Get("X-Request-Id"), where)
				assert.Equal(t, "5", sent.Get("Content-Length"), where)
				assert.Equal(t, claim, sent.Get("X-User"), where)
			}
		}
	}
}
