package shape_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/shape"
)

// through returns the request that an upstream inside d gets.
func through(t *testing.T, d proxy.Decorator, req *proxy.Request) *proxy.Request {
	t.Helper()
	var got *proxy.Request
	p := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		got = req
		return &proxy.Response{}, nil
	}).With(d)
	_, err := p(t.Context(), req)
	require.NoError(t, err)
	return got
}

func client(names ...string) *proxy.Request {
	req := proxy.NewRequest("GET", "/")
	for _, name := range names {
		req.Header[name] = []string{"client"}
	}
	return req
}

// proves H6, H3
func TestSetHeaderRemovesTheFieldsOfTheClient(t *testing.T) {
	t.Parallel()
	req := client("X-User-Id", "X_user_id", "X-User_id", "x-user-id", "X_USER-ID", "X.User.Id", "x~user!id", "X-User", "Xx-User-Id")
	req.Upstream["X_user_id"] = []string{"earlier"}
	got := through(t, shape.SetHeader("x-user-id", "7"), req)
	assert.Equal(t, http.Header{"X-User": {"client"}, "Xx-User-Id": {"client"}}, got.Header)
	assert.Equal(t, http.Header{"X-User-Id": {"7"}}, got.Upstream)
}

// proves H6
func TestRemoveHeaderRemovesEverySpelling(t *testing.T) {
	t.Parallel()
	req := client("X-User-Id", "X_user_id", "x-user-id", "X.User~Id", "Accept")
	req.Upstream["X-User-Id"], req.Upstream["X-Other"] = []string{"7"}, []string{"8"}
	got := through(t, shape.RemoveHeader("X_User-Id"), req)
	assert.Equal(t, http.Header{"Accept": {"client"}}, got.Header)
	assert.Equal(t, http.Header{"X-Other": {"8"}}, got.Upstream)
}

// proves H10
func TestSetHeaderGivesEveryRequestAValueOfItsOwn(t *testing.T) {
	t.Parallel()
	d := shape.SetHeader("X-A", "1")
	through(t, d, client()).Upstream["X-A"][0] = "changed"
	assert.Equal(t, "1", through(t, d, client()).Upstream.Get("X-A"))

	bare := &proxy.Request{Method: "GET"}
	assert.Equal(t, "1", through(t, d, bare).Upstream.Get("X-A"), "also where somebody made a request by hand")
}

// proves H7
func TestHeadersThatCannotBeSentAreFaults(t *testing.T) {
	t.Parallel()
	const ok = "X-A"
	tests := map[string]proxy.Decorator{
		"no name":                shape.SetHeader("", "1"),
		"a space":                shape.SetHeader("X A", "1"),
		"a colon":                shape.SetHeader("X-A:", "1"),
		"a line feed in a name":  shape.SetHeader("X-A\nB", "1"),
		"not ASCII":              shape.SetHeader("X-Ä", "1"),
		"CR":                     shape.SetHeader(ok, "a\rb"),
		"LF":                     shape.SetHeader(ok, "a\nb"),
		"NUL":                    shape.SetHeader(ok, "a\x00b"),
		"DEL":                    shape.SetHeader(ok, "a\x7fb"),
		"Connection":             shape.SetHeader("connection", "X-A"),
		"Transfer-Encoding":      shape.SetHeader("Transfer-Encoding", "chunked"),
		"Transfer_Encoding":      shape.SetHeader("Transfer_Encoding", "chunked"),
		"Transfer.Encoding":      shape.SetHeader("Transfer.Encoding", "chunked"),
		"BEL":                    shape.SetHeader(ok, "a\ab"),
		"Content-Length":         shape.SetHeader("Content-Length", "5"),
		"removed, no name":       shape.RemoveHeader("X A"),
		"LF, response":           shape.SetResponseHeader(ok, "a\nb"),
		"a name, response":       shape.SetResponseHeader("X\nA", "b"),
		"Alt-Svc":                shape.SetHeader("alt-svc", "clear"),
		"Alt_Svc, response":      shape.SetResponseHeader("Alt_Svc", "clear"),
		"TE, response":           shape.SetResponseHeader("TE", "trailers"),
		"removed, response":      shape.RemoveResponseHeader(""),
		"removed, response, CRs": shape.RemoveResponseHeader("\r\n"),
	}
	for name, d := range tests {
		called := false
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			called = true
			return &proxy.Response{}, nil
		}).With(d)
		assert.ErrorIs(t, pipe.PlanOf(p).Faults(), shape.ErrHeader, name)
		_, err := p(t.Context(), client())
		assert.ErrorIs(t, err, shape.ErrHeader, name)
		assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err), name)
		assert.False(t, called, name)
	}
	for _, value := range []string{"", "a\tb", "grüße", " x "} {
		assert.NoError(t, pipe.PlanOf(answers(t, `{}`).With(shape.SetHeader(ok, value))).Faults())
	}
}

// proves H2
func TestASetHeaderIsSentOrAFault(t *testing.T) {
	t.Parallel()
	names := []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE",
		"Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Alt-Svc", "Host", "Content-Length", "Accept", "Accept-Encoding",
		"Authorization", "Content-Encoding", "Content-Type", "Cookie", "Expect", "If-None-Match", "Range", "User-Agent",
		"X-Forwarded-For", "Forwarded", "X-A"}
	for _, name := range names {
		for _, decode := range []backend.Decoder{backend.JSON, backend.Passthrough} {
			var got *http.Request
			p := upstream(t, decode, func(r *http.Request) *http.Response {
				got = r
				return &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody}
			}).With(shape.SetHeader(name, "value"))
			_, err := p(t.Context(), client())
			if err != nil {
				assert.ErrorIs(t, err, shape.ErrHeader, name)
				assert.ErrorIs(t, pipe.PlanOf(p).Faults(), shape.ErrHeader, name)
				continue
			}
			sent := got.Header.Get(name)
			if name == "Host" {
				sent = got.Host
			}
			assert.Equal(t, "value", sent, name)
		}
	}
}

// proves H2
func TestASetResponseHeaderReachesTheClientOrIsAFault(t *testing.T) {
	t.Parallel()
	names := []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE",
		"Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Alt-Svc", "Content-Length", "Content-Encoding",
		"Content-Type", "Date", "Etag", "Cache-Control", "Server", "Set-Cookie", "Vary", "X-A"}
	for _, name := range names {
		p := upstream(t, backend.Passthrough, func(*http.Request) *http.Response {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: newBody("rows"), ContentLength: -1}
		}).With(shape.SetResponseHeader(name, "value"))
		h, err := endpoint.New(endpoint.Spec{Proxy: p, Stream: true})
		if err != nil {
			assert.ErrorIs(t, err, shape.ErrHeader, name)
			continue
		}
		w := recorder{httptest.NewRecorder()}
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		assert.Equal(t, "rows", w.Body.String(), name)
		assert.Equal(t, "value", w.Header().Get(name), name)
	}
}

// A recorder takes the deadlines that an endpoint sets.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetReadDeadline(time.Time) error  { return nil }
func (recorder) SetWriteDeadline(time.Time) error { return nil }

type roundTripper func(*http.Request) *http.Response

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// upstream returns an upstream whose transport is f.
func upstream(t *testing.T, decode backend.Decoder, f roundTripper) proxy.Proxy {
	t.Helper()
	p, err := backend.HTTP{Transport: f}.New(backend.Spec{Name: "user", URL: "http://user.test/", Decode: decode})
	require.NoError(t, err)
	return p
}

func TestHeaderDecoratorsShowOnlyTheName(t *testing.T) {
	t.Parallel()
	p := pipe.NamedPipe("upstream", answers(t, `{}`)).With(
		shape.SetResponseHeader("cache-control", "no-store"),
		shape.RemoveResponseHeader("x-node"),
		shape.SetHeader("authorization", "Bearer s3cret"),
		shape.RemoveHeader("cookie"),
	)
	assert.Equal(t, "← set-response-header (Cache-Control)\n"+
		"  ← remove-response-header (X-Node)\n"+
		"    → set-header (Authorization)\n"+
		"      → remove-header (Cookie)\n"+
		"        ↔ upstream\n", pipe.PlanOf(p).String())
}

func TestSetResponseHeaderWorksOnAStream(t *testing.T) {
	t.Parallel()
	stream := newBody("rows")
	p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Header: http.Header{"x-node": {"7"}}, Body: stream}, nil
	}).With(shape.SetResponseHeader("X-Accel-Buffering", "no"), shape.RemoveResponseHeader("X-Node"))
	res, err := p(t.Context(), client())
	require.NoError(t, err)
	assert.Equal(t, http.Header{"X-Accel-Buffering": {"no"}}, res.Header)
	assert.Zero(t, stream.closes.Load())
	assert.NoError(t, res.Close())
}
