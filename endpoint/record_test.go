package endpoint_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

// recorded serves one request inside of a Record, and returns what that holds then. Its bytes must be
// those of the answer.
func recorded(t *testing.T, h http.Handler, r *http.Request) endpoint.Entry {
	t.Helper()
	r, rec := endpoint.WithRecord(r)
	w := httptest.NewRecorder()
	func() {
		defer func() { _ = recover() }() // an answer that was cut off
		h.ServeHTTP(w, r)
	}()
	assert.Equal(t, int64(w.Body.Len()), rec.Entry().Bytes)
	return rec.Entry()
}

// proves O5
func TestTheRecordTellsWhatBecameOfARequest(t *testing.T) {
	t.Parallel()
	ada := &proxy.Caller{ID: "ada", Scheme: "jwt"}
	identified := func(p proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			endpoint.Identify(ctx, req, ada)
			return p(ctx, req)
		}
	}
	broken := func() *proxy.Response {
		return &proxy.Response{Header: http.Header{"Content-Length": {"9"}}, Body: io.NopCloser(io.MultiReader(strings.NewReader("12345"), iotest.ErrReader(errors.New("reset"))))}
	}
	tests := []struct {
		name   string
		spec   endpoint.Spec
		body   string
		status int
		err    string
		caller *proxy.Caller
	}{
		{"a document", endpoint.Spec{Proxy: identified(jsonOf(`{"a":1}`))}, "", 200, "", ada},
		{"a stream", endpoint.Spec{Proxy: answers(func() *proxy.Response { return &proxy.Response{Status: 201, Body: newBody("rows")} })}, "", 201, "", nil},
		{"a stream that breaks", endpoint.Spec{Proxy: answers(broken)}, "", 200, "stream: reset", nil},
		{"a problem", endpoint.Spec{Proxy: identified(fails(&proxy.Error{Status: 403, Op: "allow", Err: errors.New("no")}))}, "", 403, "allow: no", ada},
		{"a partial answer", endpoint.Spec{Proxy: answers(func() *proxy.Response { return &proxy.Response{Document: documentOf(`{}`), Err: errors.New("down")} })}, "", 200, "down", nil},
		{"a panic", endpoint.Spec{Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) { panic("bug") }}, "", 500, "panic: bug", nil},
		{"an abort", endpoint.Spec{Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) { panic(http.ErrAbortHandler) }}, "", 0, "net/http: abort Handler", nil},
		{"a body that is too large", endpoint.Spec{Proxy: jsonOf(`{}`), MaxBody: 3}, "1234", 413, "body: the request body is larger than MaxBody", nil},
		{"a format that is not to be had", endpoint.Spec{Proxy: jsonOf(`{}`), Encode: []endpoint.Encoder{endpoint.JSON, endpoint.XML}}, "", 406, "accept", nil},
		{"a hook that panics", endpoint.Spec{Proxy: jsonOf(`{}`), RequestID: func(*http.Request) string { panic("bug") }}, "", 500, "request id: panic: bug", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(tt.body))
			r.Header.Set("X-Request-Id", "id")
			r.Header.Set("Accept", "text/html")
			r.Header.Set("X-Forwarded-For", "198.51.100.7")
			r.Pattern = "/orders"
			tt.spec.TrustedProxies = prefixes("192.0.2.0/24")
			got := recorded(t, newHandler(t, tt.spec), r)
			assert.Equal(t, tt.status, got.Status)
			assert.Equal(t, "/orders", got.Route)
			assert.Same(t, tt.caller, got.Caller)
			assert.Equal(t, of("198.51.100.7:0", "http", "example.com"), got.Client)
			if tt.spec.RequestID == nil { // else it is a new one
				assert.Equal(t, "id", got.ID)
			}
			if tt.err == "" {
				assert.NoError(t, got.Err)
			} else {
				assert.ErrorContains(t, got.Err, tt.err)
			}
		})
	}
}

// A router asks an endpoint to refuse a path; that is answered and recorded as any other request.
func TestTheRecordOfWhatTheRouterRefuses(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`), TrustedProxies: prefixes("192.0.2.0/24")}).(interface {
		Refuse(http.ResponseWriter, *http.Request, error)
	})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Forwarded-For", "198.51.100.7")
	bad := &proxy.Error{Status: 400, Op: "path", Err: errors.New("dots")}
	got := recorded(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.Refuse(w, r, bad) }), r)
	assert.Equal(t, 400, got.Status)
	assert.ErrorIs(t, got.Err, bad)
	assert.Equal(t, of("198.51.100.7:0", "http", "example.com"), got.Client)
}

func TestTheRecordOfATunnel(t *testing.T) {
	for _, closes := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			far := make(chan net.Conn, 1)
			done := make(chan endpoint.Entry, 1)
			h := newHandler(t, endpoint.Spec{Stream: true, Proxy: changes(far)})
			dial := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r, rec := endpoint.WithRecord(r)
				h.ServeHTTP(w, r)
				done <- rec.Entry()
			}))
			_, client := dialUpgrade(t, dial, "")
			theirs := <-far
			go fmt.Fprint(theirs, "pong")
			_, err := io.ReadFull(client, make([]byte, 4))
			require.NoError(t, err)
			if closes {
				require.NoError(t, theirs.Close())
			}
			got := <-done // at the idle limit, if nobody closes
			assert.Equal(t, http.StatusSwitchingProtocols, got.Status)
			assert.Equal(t, int64(4), got.Bytes)
			assert.Equal(t, closes, got.Err == nil, "%v", got.Err)
		})
	}
}

func TestTheRecordOfAClientThatIsGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	h := newHandler(t, endpoint.Spec{Proxy: func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	got := recorded(t, h, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	assert.Equal(t, proxy.StatusClientGone, got.Status)
	assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(got.Err))
}

// What an abandoned call says later, about a request that was answered, breaks nothing.
func TestIdentifyOfAnAbandonedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, endpoint.Spec{Timeout: time.Second, Proxy: func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			<-time.After(time.Minute)
			endpoint.Identify(ctx, req, &proxy.Caller{ID: "late"})
			return &proxy.Response{}, nil
		}})
		r, rec := endpoint.WithRecord(httptest.NewRequest(http.MethodGet, "/", nil))
		record(h, r)
		got := rec.Entry()
		assert.Equal(t, http.StatusGatewayTimeout, got.Status)
		assert.Nil(t, got.Caller)
		<-time.After(time.Hour)
	})
}

// Behind Hold a decorator changes a copy of the request: what it says of the caller reaches the record
// all the same, and the pipe inside.
func TestIdentifyReachesTheRecordFromBehindACopy(t *testing.T) {
	t.Parallel()
	ada := &proxy.Caller{ID: "ada"}
	var inside, reported *proxy.Caller
	h := newHandler(t, endpoint.Spec{
		Proxy: proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			inside = req.Caller
			return nil, errors.New("down")
		}).With(proxy.Hold(0), func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				endpoint.Identify(ctx, req, ada)
				return next(ctx, req)
			}
		}),
		Report: func(ctx context.Context, _ error) { reported = endpoint.RecordOf(ctx).Entry().Caller },
	})
	got := recorded(t, h, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Same(t, ada, got.Caller)
	assert.Same(t, ada, inside)
	assert.Same(t, ada, reported)
}

func TestARequestHasOneRecord(t *testing.T) {
	t.Parallel()
	assert.Nil(t, endpoint.RecordOf(t.Context()))
	r, rec := endpoint.WithRecord(httptest.NewRequest(http.MethodGet, "/", nil))
	again, same := endpoint.WithRecord(r)
	assert.Same(t, r, again)
	assert.Same(t, rec, same)
	assert.Same(t, rec, endpoint.RecordOf(r.Context()))

	var none *endpoint.Record
	assert.Zero(t, none.Entry())
	none.Fail(errors.New("x"))
	endpoint.Identify(t.Context(), proxy.NewRequest("GET", "/"), nil)

	first := errors.New("first")
	rec.Fail(first)
	rec.Fail(errors.New("second"))
	assert.Equal(t, first, rec.Entry().Err)
}

func TestARecordIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	r, rec := endpoint.WithRecord(httptest.NewRequest(http.MethodGet, "/", nil))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			endpoint.Identify(r.Context(), proxy.NewRequest("GET", "/"), &proxy.Caller{ID: "ada"})
			rec.Fail(errors.New("x"))
			_ = rec.Entry()
		})
	}
	wg.Wait()
	assert.Equal(t, "ada", rec.Entry().Caller.ID)
}

func TestARecordThatIsAskedForLateKnowsTheAnswer(t *testing.T) {
	t.Parallel()
	var late context.Context
	h := newHandler(t, endpoint.Spec{Proxy: func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		late = ctx
		return nil, &proxy.Error{Status: http.StatusTeapot}
	}})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Request-Id", "id-1")
	record(h, r)
	entry := endpoint.RecordOf(late).Entry()
	assert.Equal(t, http.StatusTeapot, entry.Status)
	assert.Equal(t, "id-1", entry.ID)
	assert.Positive(t, entry.Bytes)
	assert.Same(t, endpoint.RecordOf(late), endpoint.RecordOf(late))
}
