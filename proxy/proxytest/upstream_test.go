package proxytest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

var errReset = errors.New("reset")

func get() *proxy.Request { return proxy.NewRequest("GET", "/orders") }

// How one reply looks to callers of the leaf, the round tripper, and a server in memory.
func TestAReplyInAllItsForms(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		reply            proxytest.Reply
		leaf, trip, wire string
	}{
		{"an answer", proxytest.Answer(201, `{"id":1}`), `201 {"id":1} @0s`, `201 {"id":1} @0s`, `201 {"id":1} @0s`},
		{"none", proxytest.Reply{}, "200 @0s", "200 @0s", "200 @0s"},
		{"204", proxytest.Answer(204, ""), "204 @0s", "204 @0s", "204 @0s"},
		{"a stream", proxytest.Answer(200, "rows").Stream(), "200 rows @0s", "200 rows @0s", "200 rows @0s"},
		{"a failure", proxytest.Answer(500, "no"), "502 backend upstream: status: upstream answered 500 @0s", "500 no @0s", "500 no @0s"},
		{"a failure that is a stream", proxytest.Answer(500, "no").Stream(), "500 no @0s", "500 no @0s", "500 no @0s"},
		{"404", proxytest.Answer(404, ""), "404 backend upstream: status: upstream answered 404 @0s", "404 @0s", "404 @0s"},
		{"no document", proxytest.Answer(200, "<p>"), "502 decode @0s", "200 <p> @0s", "200 <p> @0s"},
		{"late", proxytest.Answer(200, "1").After(3 * time.Second), "200 1 @3s", "200 1 @3s", "200 1 @3s"},
		{"too late", proxytest.Answer(200, "1").After(time.Hour), "504 deadline @10s", "deadline @10s", "deadline @10s"},
		{"an error", proxytest.Fail(errReset), "502 reset @0s", "reset @0s", "EOF @0s"},
		{"never", proxytest.Hang(), "504 deadline @10s", "deadline @10s", "deadline @10s"},
		{"deaf", proxytest.Answer(200, "1").Deaf(released), "200 1 @0s", "200 1 @0s", "200 1 @0s"},
		{"cut", proxytest.Answer(200, "rows").CutAfter(2, nil).Stream(), "200 ro unexpected EOF @0s", "200 ro unexpected EOF @0s", "200 ro unexpected EOF @0s"},
		{"cut by an error", proxytest.Answer(200, "rows").CutAfter(2, errReset).Stream(), "200 ro reset @0s", "200 ro reset @0s", "200 ro unexpected EOF @0s"},
		{"a document that is cut", proxytest.Answer(200, "[1]").CutAfter(2, nil), "502 unexpected EOF @0s", "200 [1 unexpected EOF @0s", "200 [1 unexpected EOF @0s"},
		{"stalled", proxytest.Answer(200, "rows").StallAfter(2).Stream(), "200 ro deadline @10s", "200 ro deadline @10s", "200 ro deadline @10s"},
		{"a document that is stalled", proxytest.Answer(200, "[1]").StallAfter(2), "504 deadline @10s", "200 [1 deadline @10s", "200 [1 deadline @10s"},
		{"nothing", proxytest.Nothing(), "nothing @0s", "nothing @0s", "200 @0s"},
		{"partial", proxytest.Answer(200, "1").Partial(errReset), "200 1 partial @0s", "200 1 @0s", "200 1 @0s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := proxytest.NewUpstream(tt.reply)
				assert.Equal(t, tt.leaf, asked(t, u.Proxy()), "leaf")
				assert.Equal(t, tt.trip, fetched(t, u, "http://orders.test/"), "round tripper")
				server := proxytest.NewServer(t, u)
				assert.Equal(t, tt.wire, fetched(t, server.Client().Transport, server.URL), "server")
				u.AssertCalls(t, 3)
				u.AssertClosedOnce(t)
			})
		})
	}
}

var released = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// asked calls a leaf with a limit of 10 s and describes the result.
func asked(t *testing.T, p proxy.Proxy) string {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	start := time.Now()
	said := func(parts ...string) string {
		return strings.Join(append(parts, fmt.Sprint("@", time.Since(start))), " ")
	}
	res, err := p(ctx, get())
	switch _, isDocument := errors.AsType[*document.Error](err); {
	case isDocument:
		return said(fmt.Sprint(proxy.StatusOf(err)), "decode")
	case err != nil:
		return said(fmt.Sprint(proxy.StatusOf(err)), short(err))
	case res == nil:
		return said("nothing")
	}
	defer res.Close()
	assert.NotNil(t, res.Header)
	parts := []string{fmt.Sprint(res.Status)}
	text := res.Document.String()
	if res.Body != nil {
		var b []byte
		if b, err = io.ReadAll(res.Body); true {
			text = string(b)
		}
	}
	if text != "" {
		parts = append(parts, text)
	}
	if err != nil {
		parts = append(parts, short(err))
	}
	if res.Err != nil {
		parts = append(parts, "partial")
	}
	return said(parts...)
}

// fetched does what asked does, over HTTP.
func fetched(t *testing.T, rt http.RoundTripper, url string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	start := time.Now()
	said := func(parts ...string) string {
		return strings.Join(append(parts, fmt.Sprint("@", time.Since(start))), " ")
	}
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	require.NoError(t, err)
	res, err := rt.RoundTrip(req)
	switch {
	case err != nil:
		return said(short(err))
	case res == nil:
		return said("nothing")
	}
	defer res.Body.Close()
	parts := []string{fmt.Sprint(res.StatusCode)}
	b, err := io.ReadAll(res.Body)
	if len(b) > 0 {
		parts = append(parts, string(b))
	}
	if err != nil {
		parts = append(parts, short(err))
	}
	return said(parts...)
}

func short(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "deadline"
	}
	for _, known := range []error{errReset, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}

func TestAnUpstreamFollowsItsScript(t *testing.T) {
	t.Parallel()
	u := proxytest.NewUpstream(proxytest.Fail(errReset), proxytest.Answer(503, ""), proxytest.Answer(200, `[1]`))
	p := u.Proxy()
	var got []string
	for range 4 {
		got = append(got, asked(t, p))
	}
	assert.Len(t, got, 4)
	assert.Contains(t, got[0], "502 reset")
	assert.Contains(t, got[1], "503 ")
	assert.Contains(t, got[2], "200 [1]")
	assert.Contains(t, got[3], "200 [1]", "the last one again")
	assert.Equal(t, "↔ upstream (fails; 503; 200)\n", pipe.PlanOf(p).String())
}

func TestAnUpstreamPanicsAndExits(t *testing.T) {
	t.Parallel()
	assert.PanicsWithValue(t, "boom", func() { _, _ = proxytest.Panic("boom").Proxy()(t.Context(), get()) })
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://orders.test/", nil)
	require.NoError(t, err)
	assert.PanicsWithValue(t, "boom", func() { _, _ = proxytest.NewUpstream(proxytest.Panic("boom")).RoundTrip(req) })
	ended := make(chan bool)
	go func() {
		returned := false
		defer func() { ended <- returned }()
		_, _ = proxytest.Goexit().Proxy()(t.Context(), get())
		returned = true
	}()
	assert.False(t, <-ended)
}

func TestADeafUpstreamIgnoresItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		time.AfterFunc(time.Hour, func() { close(release) })
		start := time.Now()
		p := proxytest.Answer(200, `{}`).After(time.Minute).Deaf(release).Proxy()
		res, err := p(ctx, get())
		require.NoError(t, err)
		assert.NoError(t, res.Close())
		assert.Equal(t, time.Hour, time.Since(start))
		assert.False(t, pipe.PlanOf(p).HonoursContext())
		assert.True(t, pipe.PlanOf(proxytest.Hang().Proxy()).HonoursContext())
	})
}

func TestAnAnswerCarriesMoreThanItsBody(t *testing.T) {
	t.Parallel()
	reply := proxytest.Answer(200, "rows").Header("Etag", `"1"`).Trailer("X-Sum", "9").Inform(103, "Link", "</x>").Stream()
	other := reply.Header("X-Other", "1") // a reply is a value
	u := proxytest.NewUpstream(reply)
	server := proxytest.NewServer(t, u)

	for name, rt := range map[string]http.RoundTripper{"round tripper": u, "server": server.Client().Transport} {
		informed := 0
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
			informed = status
			assert.Equal(t, "</x>", h.Get("Link"))
			return nil
		}})
		req, err := http.NewRequestWithContext(ctx, "GET", server.URL, nil)
		require.NoError(t, err)
		res, err := rt.RoundTrip(req)
		require.NoError(t, err)
		_, err = io.ReadAll(res.Body)
		assert.NoError(t, err)
		assert.NoError(t, res.Body.Close())
		assert.Equal(t, 103, informed, name)
		assert.Equal(t, `"1"`, res.Header.Get("Etag"), name)
		assert.Empty(t, res.Header.Get("Link"), name)
		assert.Equal(t, "9", res.Trailer.Get("X-Sum"), name)
	}

	req, informed := get(), 0
	req.Inform = func(status int, h http.Header) { informed = status }
	res, err := u.Proxy()(t.Context(), req)
	require.NoError(t, err)
	defer res.Close()
	assert.Equal(t, 103, informed)
	assert.Equal(t, http.Header{"Etag": {`"1"`}}, res.Header)
	assert.Equal(t, "9", res.Trailer().Get("X-Sum"))
	res2, err := other.Proxy()(t.Context(), get())
	require.NoError(t, err)
	defer res2.Close()
	assert.Equal(t, "1", res2.Header.Get("X-Other"))
}

func TestARecorderKeepsCopiesOfWhatItSaw(t *testing.T) {
	t.Parallel()
	u := proxytest.NewUpstream()
	req := proxy.NewRequest("POST", "/orders/1")
	req.SetBody("application/json", []byte(`{"id":1}`))
	req.Query.Set("page", "2")
	req.Header.Set("Accept", "text/plain")
	req.Upstream.Set("Accept", "application/json")
	_, err := u.Proxy()(t.Context(), req)
	require.NoError(t, err)
	req.Header.Set("Accept", "changed")
	req.Query.Set("page", "3")

	call := u.Only(t)
	call.AssertURL(t, "POST /orders/1?page=2")
	call.AssertHeader(t, "accept", "application/json")
	call.AssertHeader(t, "X-None")
	call.AssertBody(t, `{"id":1}`)
	assert.Equal(t, "text/plain", call.Header.Get("Accept"))
	assert.Equal(t, "2", call.Query.Get("page"))

	assert.Equal(t, "the upstream got POST /orders/1?page=2, want GET /", failed(func(t testing.TB) { call.AssertURL(t, "GET /") }))
	assert.Equal(t, `the upstream got Accept: ["application/json"], want ["x" "y"]`,
		failed(func(t testing.TB) { call.AssertHeader(t, "Accept", "x", "y") }))
	assert.Equal(t, `the upstream got the body "{\"id\":1}", want ""`, failed(func(t testing.TB) { call.AssertBody(t, "") }))
	assert.Equal(t, "the upstream was called once, want 0 times\n\tPOST /orders/1?page=2", failed(func(t testing.TB) { u.AssertCalls(t, 0) }))
	assert.Equal(t, "the upstream was called 0 times, want once", failed(func(t testing.TB) { proxytest.NewUpstream().Only(t) }))
}

func TestARecorderOverHTTP(t *testing.T) {
	t.Parallel()
	u := proxytest.NewUpstream()
	server := proxytest.NewServer(t, u)
	client := server.Client()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			res, err := client.Post(server.URL+"/a%2Fb?x=1", "text/plain", strings.NewReader("hello"))
			if assert.NoError(t, err) {
				assert.NoError(t, res.Body.Close())
			}
		})
	}
	wg.Wait()
	u.AssertCalls(t, 8)
	for _, call := range u.Calls() {
		call.AssertURL(t, "POST /a%2Fb?x=1")
		call.AssertHeader(t, "Content-Type", "text/plain")
		call.AssertBody(t, "hello")
		assert.Equal(t, "/a%2Fb", call.Path)
	}
}

func TestARecorderAsADecorator(t *testing.T) {
	t.Parallel()
	var before proxytest.Recorder
	u := proxytest.NewUpstream()
	rewrite := func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			req.Method = "PUT"
			return next(ctx, req)
		}
	}
	req := proxy.NewRequest("POST", "/")
	req.SetBody("text/plain", []byte("hello"))
	_, err := u.Proxy().With(before.Record, rewrite)(t.Context(), req)
	require.NoError(t, err)
	before.Only(t).AssertURL(t, "POST /")
	before.Only(t).AssertBody(t, "hello")
	u.Only(t).AssertURL(t, "PUT /")
	u.Only(t).AssertBody(t, "hello")
}
