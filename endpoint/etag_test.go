package endpoint_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/sluice-go/sluice/proxy"
)

// ask sends a request with headers, given as name and value by turns.
func ask(h http.Handler, method string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return record(h, r)
}

func TestETagIsThatOfTheBytesThatAreSent(t *testing.T) {
	t.Parallel()
	both := []endpoint.Encoder{endpoint.JSON, endpoint.XML, endpoint.Text}
	tagOf := func(text, accept string) string {
		h := newHandler(t, endpoint.Spec{ETag: true, Encode: both, Proxy: jsonOf(text)})
		w := ask(h, "GET", "Accept", accept)
		require.Equal(t, 200, w.Code)
		assert.Equal(t, "Accept", w.Header().Get("Vary"))
		return w.Header().Get("Etag")
	}
	object := tagOf(`{"a":1}`, "application/json")
	assert.Equal(t, `W/"wK3RCD8biX9gScB0M-aKGw"`, object, "in every process")
	assert.Equal(t, object, tagOf(`{"a":1}`, "application/json"))
	assert.NotEqual(t, object, tagOf(`{"a":2}`, "application/json"))
	assert.NotEqual(t, object, tagOf(`{"a":1}`, "application/xml"))
	assert.NotEqual(t, tagOf(`1`, "application/json"), tagOf(`1`, "text/plain"), "the same bytes of another type")
}

func TestETagOfHEADIsThatOfGET(t *testing.T) {
	t.Parallel()
	for _, encode := range [][]endpoint.Encoder{nil, {endpoint.XML}} {
		h := newHandler(t, endpoint.Spec{ETag: true, Encode: encode, Proxy: jsonOf(`{"a":1}`)})
		get, head := ask(h, "GET"), ask(h, "HEAD")
		assert.NotEmpty(t, get.Header().Get("Etag"))
		assert.Equal(t, get.Header(), head.Header())
		assert.Empty(t, head.Body.String())
		assert.Equal(t, 304, ask(h, "HEAD", "If-None-Match", get.Header().Get("Etag")).Code)
	}
}

// proves F5
func TestA304IsTheAnswerToAClientThatHasTheDocument(t *testing.T) {
	t.Parallel()
	const tag = `W/"wK3RCD8biX9gScB0M-aKGw"`
	tests := []struct {
		name        string
		noneMatch   []string
		notModified bool
	}{
		{"none", nil, false},
		{"empty", []string{""}, false},
		{"it", []string{tag}, true},
		{"as a strong one, compared weakly", []string{strings.TrimPrefix(tag, "W/")}, true},
		{"in a list", []string{`"x" , W/"y",,` + tag}, true},
		{"on another line", []string{`"x"`, tag}, true},
		{"anything", []string{" * "}, true},
		{"another", []string{`W/"x"`}, false},
		{"without quotes", []string{"wK3RCD8biX9gScB0M-aKGw"}, false},
		{"not closed", []string{`W/"wK3RCD8biX9gScB0M-aKGw`}, false},
		{"inside of another", []string{`"a` + tag + `"`}, false},
		{"behind what is no tag", []string{"x, " + tag}, false},
		{"a star in a list", []string{`"x", *`}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHandler(t, endpoint.Spec{ETag: true, Proxy: jsonOf(`{"a":1}`), CacheControl: "max-age=60"})
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["If-None-Match"] = tt.noneMatch
			w := record(h, r)
			assert.Equal(t, tag, w.Header().Get("Etag"))
			assert.Equal(t, "private, max-age=60", w.Header().Get("Cache-Control"))
			if tt.notModified {
				assert.Equal(t, 304, w.Code)
				assert.Empty(t, w.Body.String())
			} else {
				assert.Equal(t, 200, w.Code)
				assert.Equal(t, `{"a":1}`, w.Body.String())
			}
		})
	}
}

func TestA304HasTheHeadersButThoseOfAPayload(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{ETag: true, Encode: []endpoint.Encoder{endpoint.JSON, endpoint.XML}, CacheControl: "max-age=60",
		SendRequestID: true, Proxy: answers(func() *proxy.Response {
			return &proxy.Response{Document: documentOf(`{}`), Header: http.Header{"Set-Cookie": {"a=1", "b=2"}, "Expires": {"0"},
				"Content-Location": {"/doc.json"}, "Content-Language": {"de"}, "Last-Modified": {"Sun, 06 Nov 1994 08:49:37 GMT"},
				"X-Own": {"1"}}}
		})})
	w := ask(h, "GET", "If-None-Match", "*", "X-Request-Id", "r1")
	assert.Equal(t, 304, w.Code)
	assert.NotEmpty(t, w.Header().Get("Etag"))
	w.Header().Del("Etag")
	assert.Equal(t, http.Header{"Vary": {"Accept"}, "Cache-Control": {"private, max-age=60"}, "Set-Cookie": {"a=1", "b=2"}, "Expires": {"0"},
		"Content-Location": {"/doc.json"}, "X-Own": {"1"}, "X-Request-Id": {"r1"}}, w.Header())
}

func TestOnlyACompleteDocumentThatWasReadHasAnETag(t *testing.T) {
	t.Parallel()
	stale := func() http.Header { return http.Header{"Etag": {`"of the upstream"`}} }
	tests := []struct {
		name   string
		method string
		res    func() *proxy.Response
		status int
		etag   string // "" is none
	}{
		{"partial", "GET", func() *proxy.Response {
			return &proxy.Response{Document: documentOf(`{}`), Header: stale(), Err: errors.New("recs")}
		}, 200, ""},
		{"POST", "POST", func() *proxy.Response { return &proxy.Response{Document: documentOf(`{}`), Header: stale()} }, 200, ""},
		{"another status", "GET", func() *proxy.Response {
			return &proxy.Response{Status: 404, Document: documentOf(`{}`), Header: stale()}
		}, 404, ""},
		{"no document", "GET", func() *proxy.Response { return &proxy.Response{} }, 200, ""},
		{"a 304 of the pipe's own", "GET", func() *proxy.Response { return &proxy.Response{Status: 304, Header: stale()} }, 304, `"of the upstream"`},
		{"a stream", "GET", func() *proxy.Response { return &proxy.Response{Body: newBody("x"), Header: stale()} }, 200, `"of the upstream"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHandler(t, endpoint.Spec{ETag: true, Proxy: answers(tt.res)})
			w := ask(h, tt.method, "If-None-Match", "*")
			assert.Equal(t, tt.status, w.Code)
			assert.Equal(t, tt.etag, w.Header().Get("Etag"))
		})
	}
}

func TestAnETagOfOtherBytesIsDropped(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{ETag: true, Proxy: answers(func() *proxy.Response {
		return &proxy.Response{Document: documentOf(`{"a":1}`), Header: http.Header{"Etag": {`"upstream"`}}}
	})})
	outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["ETag"] = []string{`"middleware"`}
		h.ServeHTTP(w, r)
	})
	for _, tag := range []string{`"upstream"`, `"middleware"`} {
		w := ask(outer, "GET", "If-None-Match", tag)
		assert.Equal(t, 200, w.Code)
		assert.Equal(t, []string{`W/"wK3RCD8biX9gScB0M-aKGw"`}, w.Header()["Etag"])
		assert.NotContains(t, w.Header(), "ETag")
	}
}

func TestWithoutETagTheResponseKeepsItsOwn(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Proxy: answers(func() *proxy.Response {
		return &proxy.Response{Document: documentOf(`{}`), Header: http.Header{"Etag": {`"1"`}}}
	})})
	w := ask(h, "GET", "If-None-Match", `"1"`)
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, `"1"`, w.Header().Get("Etag"))
}

func TestETagOverAPipeThatStreamsIsRefused(t *testing.T) {
	t.Parallel()
	files := pipe.Check(backend.New(backend.Spec{URL: "http://files", Decode: backend.Passthrough}))
	_, err := endpoint.New(endpoint.Spec{Name: "e", Proxy: files, ETag: true})
	assert.EqualError(t, err, "endpoint: New (e): ETag over a pipe that streams: there is no document")
}

func TestAnEncoderThatFailsHasNoETag(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{ETag: true, Encode: []endpoint.Encoder{endpoint.Text}, Proxy: jsonOf(`{}`)})
	w := ask(h, "GET", "If-None-Match", "*")
	assert.Equal(t, 500, w.Code)
	assert.Empty(t, w.Header().Get("Etag"))
}

// A buffer that is taken for the ETag goes back, and the next answer is whole.
func TestDocumentsAreWholeAfterA304(t *testing.T) {
	t.Parallel()
	for _, encode := range [][]endpoint.Encoder{nil, {endpoint.Text}, {csv{types: textCSV}}} {
		h := newHandler(t, endpoint.Spec{ETag: true, Encode: encode, Proxy: func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Document: documentOf(`"` + req.Query.Get("text") + `"`)}, nil
		}})
		for _, text := range []string{"long, long text", "short"} {
			first := record(h, httptest.NewRequest("GET", "/?text="+strings.ReplaceAll(text, " ", "+"), nil))
			assert.Equal(t, 304, ask(h, "GET", "If-None-Match", "*").Code)
			again := record(h, httptest.NewRequest("GET", "/?text="+strings.ReplaceAll(text, " ", "+"), nil))
			assert.Equal(t, first.Body.String(), again.Body.String())
			assert.Equal(t, first.Header(), again.Header())
		}
	}
}

func TestA304IsRecordedAndWatched(t *testing.T) {
	t.Parallel()
	var trace *explain.Trace
	h := newHandler(t, endpoint.Spec{ETag: true, Proxy: pipe.Described(jsonOf(`{}`)),
		Watch: pipe.Watch{Start: func(context.Context) pipe.Watcher { return trace.Watcher() }}})
	trace = explain.New(h.(interface{ Plan() *pipe.Step }).Plan())
	r, rec := endpoint.WithRecord(httptest.NewRequest("GET", "/", nil))
	r.Header.Set("If-None-Match", "*")
	record(h, r)
	assert.Equal(t, 304, trace.Entries()[0].Status)
	assert.Equal(t, 200, trace.Entries()[1].Status)
	assert.Equal(t, 304, rec.Entry().Status)
	assert.Zero(t, rec.Entry().Bytes)
	assert.NoError(t, rec.Entry().Err)
}

func TestETagIsInThePlan(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`), ETag: true})
	assert.Equal(t, "10s, body of 1 MiB, etag", h.(interface{ Plan() *pipe.Step }).Plan().Detail)
}
