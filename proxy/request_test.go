package proxy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestContract and a digit name the clause of the contract in the doc of pipe.Pipe. Here:
//
//   - 3: who forks hands on a copy of the request.

// fullRequest has a value in every field.
func fullRequest() *proxy.Request {
	req, _ := withBody("body")
	req.Path, req.Pattern, req.Host, req.Scheme = "/a%2Fb", "/{x}", "example.com:8080", "https"
	req.Remote = netip.MustParseAddrPort("192.0.2.1:1234")
	req.TLS = &tls.ConnectionState{ServerName: "example.com"}
	req.Caller = &proxy.Caller{ID: "ann"}
	req.Query = url.Values{"q": {"1", "2"}, "empty": {}, "nil": nil}
	req.RawQuery = "q=1&q=2"
	req.UpstreamQuery = []string{"q"}
	req.Header = http.Header{"A": {"1", "2"}, "Nil": nil, "Empty": {}}
	req.Upstream = http.Header{"B": {"3"}}
	req.Params.Set("x", "a/b")
	req.Params.SetRest("r", "s")
	req.Trailer = func() http.Header { return nil }
	req.Upgrade = "websocket"
	req.Inform = func(int, http.Header) {}
	return req
}

func TestANewRequestHasMaps(t *testing.T) {
	t.Parallel()
	req := proxy.NewRequest("GET", "/x")
	assert.Equal(t, &proxy.Request{Method: "GET", Path: "/x", Query: url.Values{}, Header: http.Header{}, Upstream: http.Header{}}, req)
}

// proves C3
func TestContract3CloneCopiesEveryField(t *testing.T) {
	t.Parallel()
	req := fullRequest()
	c, err := req.Clone()
	require.NoError(t, err)
	for i := range reflect.TypeFor[proxy.Request]().NumField() {
		field := reflect.TypeFor[proxy.Request]().Field(i)
		if !field.IsExported() {
			continue
		}
		is := reflect.ValueOf(c).Elem().Field(i)
		was := reflect.ValueOf(req).Elem().Field(i)
		switch field.Name {
		case "Trailer", "Inform", "Upgrade":
			assert.True(t, is.IsZero(), "%s belongs to the original's connection", field.Name)
		case "Body":
			assert.NotSame(t, is.Interface(), was.Interface())
		case "GetBody":
			assert.False(t, is.IsNil())
		default:
			assert.False(t, is.IsZero(), "%s: a new field needs a rule here", field.Name)
			assert.Equal(t, was.Interface(), is.Interface(), field.Name)
		}
	}
	b, err := io.ReadAll(c.Body)
	require.NoError(t, err)
	assert.Equal(t, "body", string(b))
	b, _ = io.ReadAll(req.Body)
	assert.Equal(t, "body", string(b), "the original is not read")
	assert.NotNil(t, req.Trailer)
	assert.NotNil(t, req.Inform)
	assert.Equal(t, "websocket", req.Upgrade)
}

// write changes everything in a request that can be changed in place.
func write(req *proxy.Request, value string) {
	for _, m := range []map[string][]string{req.Query, req.Header, req.Upstream} {
		for name, vs := range m {
			for i := range vs {
				vs[i] = value
			}
			m[name] = append(vs, value)
		}
		m["New-"+value] = []string{value}
		delete(m, "Nil")
	}
	for i := range req.UpstreamQuery {
		req.UpstreamQuery[i] = value
	}
	req.UpstreamQuery = append(req.UpstreamQuery, "new "+value)
	req.Params.Set("x", value)
	req.Params.Set("new "+value, value)
	req.Params.Rest()[0] = value
	req.Params.SetRest(append(req.Params.Rest(), value)...)
	req.Method, req.Path, req.Host, req.RawQuery = value, value, value, value
	req.SetBody("text/plain", []byte(value))
}

// proves H10, M33, C3
func TestContract3ClonesShareNoMemoryThatEitherMayWrite(t *testing.T) {
	t.Parallel()
	req := fullRequest()
	var clones []*proxy.Request
	for range 8 {
		c, err := req.Clone()
		require.NoError(t, err)
		clones = append(clones, c)
	}
	want, err := req.Clone()
	require.NoError(t, err)

	var wg sync.WaitGroup
	for _, c := range clones {
		wg.Go(func() { write(c, "changed") }) // with -race, shared memory fails the test
	}
	wg.Go(func() { write(req, "original") })
	wg.Wait()

	assert.Equal(t, url.Values{"q": {"1", "2"}, "empty": {}, "nil": nil}, want.Query)
	assert.Equal(t, http.Header{"A": {"1", "2"}, "Nil": nil, "Empty": {}}, want.Header)
	assert.Equal(t, []string{"q"}, want.UpstreamQuery)
	assert.Equal(t, http.Header{"B": {"3"}}, want.Upstream)
	assert.Equal(t, "a/b", want.Params.Get("x"))
	assert.Equal(t, []string{"r", "s"}, want.Params.Rest())
	assert.Equal(t, []string{"changed", "changed", "changed"}, clones[0].Header["A"])
	assert.NotContains(t, clones[0].Header, "New-original")
	assert.NotContains(t, req.Header, "New-changed")
}

// Sent without its body, a request could look complete to the upstream.
func TestAGetBodyThatReturnsNoBodyFailsTheClone(t *testing.T) {
	t.Parallel()
	req := get()
	req.Body, req.ContentLength = newBody("abc"), 3
	req.GetBody = func() (io.ReadCloser, error) { return nil, nil }
	_, err := req.Clone()
	assert.EqualError(t, err, "clone: GetBody returned no body")
	_, err = req.Document()
	assert.EqualError(t, err, "document: GetBody returned no body")

	calls := 0
	fails := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		calls++
		return nil, errors.New("boom")
	}
	_, err = proxy.Fallback(fails, fails)(t.Context(), req)
	assert.ErrorContains(t, err, "GetBody returned no body")
	assert.Equal(t, 1, calls)
}

// Values of one map are copied into one slice: appending to one must not write into the next.
func TestAppendingToAClonedValueChangesNoOther(t *testing.T) {
	t.Parallel()
	req := get()
	for _, name := range []string{"A", "B", "C", "D"} {
		req.Header[name] = []string{name}
	}
	c, err := req.Clone()
	require.NoError(t, err)
	for name := range c.Header {
		c.Header.Add(name, "more")
	}
	for name := range req.Header {
		assert.Equal(t, []string{name, "more"}, c.Header[name])
		assert.Equal(t, []string{name}, req.Header[name])
	}
}

func TestCloneOfNilMapsHasMaps(t *testing.T) {
	t.Parallel()
	c, err := new(proxy.Request).Clone()
	require.NoError(t, err)
	assert.NotNil(t, c.Header)
	assert.NotNil(t, c.Upstream)
	assert.NotNil(t, c.Query)
}

// proves M25
func TestABodyThatCannotBeReplayedIsRefused(t *testing.T) {
	t.Parallel()
	req := get()
	body := newBody("once")
	req.Body = body
	assert.False(t, req.Replayable())
	_, err := req.Clone()
	assert.ErrorIs(t, err, proxy.ErrBodyNotReplayable)
	_, err = req.Document()
	assert.ErrorIs(t, err, proxy.ErrBodyNotReplayable)
	b, _ := io.ReadAll(req.Body)
	assert.Equal(t, "once", string(b), "the request is as before")
	assert.Zero(t, body.closed.Load())
}

func TestWhatIsReplayable(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]io.ReadCloser{"nil": nil, "http.NoBody": http.NoBody} {
		req := get()
		req.Body = body
		assert.True(t, req.Replayable(), name)
		c, err := req.Clone()
		require.NoError(t, err, name)
		assert.Nil(t, c.Body, name)
	}
	req, _ := withBody("x")
	assert.True(t, req.Replayable())
}

func TestCloneFailsWhenTheBodyCannotBeOpened(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	req, _ := withBody("x")
	req.GetBody = func() (io.ReadCloser, error) { return nil, boom }
	_, err := req.Clone()
	assert.ErrorIs(t, err, boom)
	_, err = req.Document()
	assert.ErrorIs(t, err, boom)
}

func TestSetBody(t *testing.T) {
	t.Parallel()
	req := get()
	req.Header = http.Header{"Content-Type": {"a/b"}, "Content-Encoding": {"gzip"}, "Content-Digest": {"x"}, "Content-Md5": {"x"},
		"Content-Length": {"9"}, "Repr-Digest": {"x"}, "Accept": {"*/*"}}
	req.Upstream = http.Header{"Content-Type": {"c/d"}, "X": {"y"}}
	req.Trailer = func() http.Header { return http.Header{} }
	req.SetBody("text/plain", []byte("hello"))
	assert.Equal(t, http.Header{"Content-Type": {"text/plain"}, "Accept": {"*/*"}}, req.Header)
	assert.Equal(t, http.Header{"X": {"y"}}, req.Upstream, "an old Content-Type would win otherwise")
	assert.EqualValues(t, 5, req.ContentLength)
	assert.Nil(t, req.Trailer)
	assert.True(t, req.Replayable())
	for range 2 {
		c, err := req.Clone()
		require.NoError(t, err)
		b, _ := io.ReadAll(c.Body)
		assert.Equal(t, "hello", string(b))
	}
	b, _ := io.ReadAll(req.Body)
	assert.Equal(t, "hello", string(b))
}

func TestSetBodyOfNothing(t *testing.T) {
	t.Parallel()
	req, _ := withBody("x")
	req.Header = nil
	req.SetBody("", nil)
	assert.Empty(t, req.Header)
	assert.Equal(t, http.NoBody, req.Body)
	assert.Zero(t, req.ContentLength)
	d, err := req.Document()
	require.NoError(t, err)
	assert.True(t, d.IsZero())
	req.SetBody("text/plain", nil)
	assert.Equal(t, "text/plain", req.Header.Get("Content-Type"), "also where Header was nil")
}

func TestTheDocumentIsParsedOnceForARequestAndItsClones(t *testing.T) {
	t.Parallel()
	req, opened := withBody(`{"a":1}`)
	first, err := req.Document()
	require.NoError(t, err)
	assert.Equal(t, `{"a":1}`, first.String())
	require.Len(t, *opened, 1)
	assertClosedOnce(t, (*opened)...)

	c, err := req.Clone()
	require.NoError(t, err)
	cc, err := c.Clone()
	require.NoError(t, err)
	require.Len(t, *opened, 3)
	var wg sync.WaitGroup
	for _, r := range []*proxy.Request{c, cc} {
		wg.Go(func() {
			d, err := r.Document()
			assert.NoError(t, err)
			assert.Equal(t, first, d)
		})
	}
	wg.Wait()
	assert.Len(t, *opened, 3, "not opened again")
	b, _ := io.ReadAll(req.Body)
	assert.Equal(t, `{"a":1}`, string(b), "Body can still be read")
}

func TestTheFirstCloneSharesTheDocumentToo(t *testing.T) {
	t.Parallel()
	req, opened := withBody(`{"a":1}`)
	c, err := req.Clone()
	require.NoError(t, err)
	_, err = c.Document()
	require.NoError(t, err)
	_, err = req.Document()
	require.NoError(t, err)
	assert.Len(t, *opened, 2, "one for the clone, one to parse")
}

func TestSetBodyEndsTheSharingOfTheDocument(t *testing.T) {
	t.Parallel()
	req, _ := withBody(`{"a":1}`)
	c, err := req.Clone()
	require.NoError(t, err)
	c.SetBody("application/json", []byte(`{"b":2}`))
	d, err := c.Document()
	require.NoError(t, err)
	assert.Equal(t, `{"b":2}`, d.String())
	d, err = req.Document()
	require.NoError(t, err)
	assert.Equal(t, `{"a":1}`, d.String())
}

func TestDocumentOfWhatIsNone(t *testing.T) {
	t.Parallel()
	d, err := get().Document()
	require.NoError(t, err)
	assert.True(t, d.IsZero(), "no body")
	req, _ := withBody("")
	d, err = req.Document()
	require.NoError(t, err)
	assert.True(t, d.IsZero(), "an empty body")
	req, _ = withBody("{")
	for range 2 {
		_, err = req.Document()
		assert.Equal(t, http.StatusBadRequest, proxy.StatusOf(err))
		assert.ErrorIs(t, err, document.ErrSyntax)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestDocumentOfABodyThatBreaks(t *testing.T) {
	t.Parallel()
	req, _ := withBody("x")
	req.GetBody = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("{"), failingReader{})), nil
	}
	_, err := req.Document()
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.NotEqual(t, http.StatusBadRequest, proxy.StatusOf(err), "not the client's grammar")
}

// proves M21
func TestAPanicWhileReadingTheBodyIsAnErrorForEveryBranch(t *testing.T) {
	t.Parallel()
	req, _ := withBody("x")
	req.GetBody = func() (io.ReadCloser, error) { panic("bug") }
	assert.Panics(t, func() { _, _ = req.Document() })
	_, err := req.Document()
	assert.ErrorContains(t, err, "panic")
}

// A request that nobody changed concurrently can be read by many.
func TestCloneOnlyReadsWhatBranchesRead(t *testing.T) {
	t.Parallel()
	req := fullRequest()
	req.SetBody("application/json", []byte(`{}`))
	var wg sync.WaitGroup
	page := proxy.Proxy(func(_ context.Context, r *proxy.Request) (*proxy.Response, error) {
		d, err := r.Document()
		return &proxy.Response{Document: d}, err
	})
	for range 8 {
		c, err := req.Clone()
		require.NoError(t, err)
		wg.Go(func() {
			_, err := page(t.Context(), c)
			assert.NoError(t, err)
		})
	}
	wg.Wait()
}
