package test_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/shape"
	"github.com/sluice-go/sluice/router"
)

// naughtyStrings are the strings of the Big List of Naughty Strings.
func naughtyStrings(t testing.TB) (all []string) {
	t.Helper()
	b, err := os.ReadFile("../proxy/document/testdata/blns/blns.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &all))
	require.Len(t, all, 515)
	return all
}

// A lineRecorder is an upstream that keeps each request byte for byte, under the number n in its
// query.
type lineRecorder struct {
	mu  sync.Mutex
	got map[int][]*rawMessage
}

var numberOfLine = regexp.MustCompile(`[?&]n=([0-9]+)(?:&[^ ]*)? HTTP/1\.1$`)

// serveLines returns a factory for upstreams that answer {} and whose requests are recorded.
func serveLines(t *testing.T) (*lineRecorder, backend.HTTP) {
	t.Helper()
	rec := &lineRecorder{got: map[int][]*rawMessage{}}
	upstream := newNetwork()
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := upstream.Accept()
			if err != nil {
				return
			}
			open.Go(func() { rec.talk(t, c) })
		}
	})
	tr := upstream.transport()
	t.Cleanup(func() {
		_ = upstream.Close()
		tr.CloseIdleConnections()
		open.Wait()
	})
	return rec, backend.HTTP{Transport: tr}
}

func (rec *lineRecorder) talk(t *testing.T, c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		m, err := readRaw(r)
		if err != nil {
			assert.ErrorIs(t, err, io.EOF)
			return
		}
		match := numberOfLine.FindStringSubmatch(m.line)
		if !assert.NotNil(t, match, m.line) {
			return
		}
		n, _ := strconv.Atoi(match[1])
		rec.mu.Lock()
		rec.got[n] = append(rec.got[n], m)
		rec.mu.Unlock()
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
			return
		}
	}
}

// take returns the one request with the number, or nil if there was none.
func (rec *lineRecorder) take(t *testing.T, n int) *rawMessage {
	t.Helper()
	rec.mu.Lock()
	defer rec.mu.Unlock()
	got := rec.got[n]
	delete(rec.got, n)
	if len(got) == 0 {
		return nil
	}
	assert.Len(t, got, 1)
	return got[0]
}

// target splits the target of a request as the grammar says, without decoding anything.
func (m *rawMessage) target() (segments, pairs []string) {
	_, target, _ := strings.Cut(m.line, " ")
	target, _, _ = strings.Cut(target, " ")
	path, query, _ := strings.Cut(target, "?")
	return strings.Split(path, "/"), strings.Split(query, "&")
}

// ask writes a request on a connection of its own and returns the status and the body of the
// answer.
func ask(t *testing.T, w *network, request string) (int, []byte) {
	t.Helper()
	conn, err := w.dial(t.Context(), "", "")
	require.NoError(t, err)
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, request) }()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err, "%q", request)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err, "%q", request)
	return res.StatusCode, body
}

func getText(target, fields string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: gateway\r\n" + fields + "Connection: close\r\n\r\n"
}

// serveRoutes serves endpoints by pattern, over one upstream each.
func serveRoutes(t *testing.T, f backend.Factory, specs map[string]backend.Spec) *network {
	t.Helper()
	r := chi.NewRouter()
	for pattern, spec := range specs {
		p, err := f.New(spec)
		require.NoError(t, err)
		require.NoError(t, router.Mount(r, router.Route{Method: "GET", Pattern: pattern, Endpoint: endpoint.Spec{Proxy: p}}))
	}
	return serveWire(t, r)
}

// mayBeParam reports whether a param may have the value.
func mayBeParam(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, "\x00\r\n")
}

// A param arrives in the path and the query of the upstream byte for byte, and changes nothing else
// in them; or it is refused, and the upstream is not called.
//
// proves U2, U3, L13
func TestNaughtyParams(t *testing.T) {
	t.Parallel()
	rec, upstreams := serveLines(t)
	gateway := serveRoutes(t, upstreams, map[string]backend.Spec{
		"/p/{id}/x": {URL: "http://upstream/v1/{id}/item-{id}.json?fixed=1&user={id}", Query: []string{"n"}},
		"/f/*":      {URL: "http://upstream/files/{*}?fixed=1", Query: []string{"n"}},
	})
	refused := 0
	for i, s := range append(naughtyStrings(t), "..", "a\x00b", "a\r\nX: 1", "../../admin", "5?admin=1#", "x&admin=1", "{{.B}}{id}$1", "%2e%2F") {
		status, _ := ask(t, gateway, getText(fmt.Sprintf("/p/%s/x?n=%d", url.PathEscape(s), i), ""))
		m := rec.take(t, i)
		if !mayBeParam(s) {
			refused++
			assert.Equal(t, 400, status, "%q", s)
			assert.Nil(t, m, "%q", s)
		} else if assert.Equal(t, 200, status, "%q", s) && assert.NotNil(t, m, "%q", s) {
			segments, pairs := m.target()
			require.Len(t, segments, 4, m.line)
			assert.Equal(t, s, unescapePath(t, segments[2]))
			assert.Equal(t, "item-"+s+".json", unescapePath(t, segments[3]))
			require.Len(t, pairs, 3, m.line)
			assert.Equal(t, []string{"fixed=1", "n=" + strconv.Itoa(i)}, []string{pairs[0], pairs[2]})
			query, err := url.ParseQuery(pairs[1])
			require.NoError(t, err)
			assert.Equal(t, url.Values{"user": {s}}, query)
		}

		var escaped []string
		may := true
		for segment := range strings.SplitSeq(s, "/") {
			escaped = append(escaped, url.PathEscape(segment))
			may = may && (segment == "" || mayBeParam(segment))
		}
		status, _ = ask(t, gateway, getText(fmt.Sprintf("/f/%s?n=%d", strings.Join(escaped, "/"), i), ""))
		m = rec.take(t, i)
		if !may {
			assert.Equal(t, 400, status, "%q", s)
			assert.Nil(t, m, "%q", s)
		} else if assert.Equal(t, 200, status, "%q", s) && assert.NotNil(t, m, "%q", s) {
			segments, pairs := m.target()
			require.Equal(t, []string{"", "files"}, segments[:2], m.line)
			for i, segment := range segments {
				segments[i] = unescapePath(t, segment)
			}
			assert.Equal(t, strings.Split(s, "/"), segments[2:], "%q: %s", s, m.line)
			assert.Equal(t, []string{"fixed=1", "n=" + strconv.Itoa(i)}, pairs)
		}
	}
	assert.Equal(t, 5, refused, "nothing and a dot, and three of ours")
}

func unescapePath(t *testing.T, s string) string {
	t.Helper()
	text, err := url.PathUnescape(s)
	assert.NoError(t, err, "%q", s)
	return text
}

// proves U1, U2, L13
func TestNaughtyQueryValues(t *testing.T) {
	t.Parallel()
	rec, upstreams := serveLines(t)
	gateway := serveRoutes(t, upstreams, map[string]backend.Spec{
		"/named": {URL: "http://upstream/q?fixed=1", Query: []string{"v", "n"}},
		"/all":   {URL: "http://upstream/q?fixed=1", Query: []string{"*"}},
	})
	for i, s := range append(naughtyStrings(t), "a\x00b", "a\r\nX: 1", "x&admin=1", "a;b=1", "\xff\xfe") {
		for path, want := range map[string]url.Values{
			"/named": {"fixed": {"1"}, "v": {s}, "n": {strconv.Itoa(i)}},
			"/all":   {"fixed": {"1"}, "v": {s}, "n": {strconv.Itoa(i)}, "other " + s: {"1"}},
		} {
			status, _ := ask(t, gateway, getText(fmt.Sprintf("%s?v=%s&%s=1&n=%d", path, url.QueryEscape(s), url.QueryEscape("other "+s), i), ""))
			m := rec.take(t, i)
			if assert.Equal(t, 200, status, "%q", s) && assert.NotNil(t, m, "%q", s) {
				segments, pairs := m.target()
				assert.Equal(t, []string{"", "q"}, segments, m.line)
				assert.Len(t, pairs, len(want), m.line)
				got, err := url.ParseQuery(strings.Join(pairs, "&"))
				assert.NoError(t, err)
				assert.Equal(t, want, got)
			}
		}
	}
}

// proves H7
func TestNaughtyHeaderValues(t *testing.T) {
	t.Parallel()
	rec, upstreams := serveLines(t)
	gateway := serveRoutes(t, upstreams, map[string]backend.Spec{
		"/named": {URL: "http://upstream/h", Query: []string{"n"}, Headers: []string{"X-Naughty"}},
		"/all":   {URL: "http://upstream/h", Query: []string{"n"}, Headers: []string{"*"}},
	})
	refused := 0
	for i, s := range naughtyStrings(t) {
		for _, path := range []string{"/named", "/all"} {
			status, _ := ask(t, gateway, getText(fmt.Sprintf("%s?n=%d", path, i), "X-Naughty: "+s+"\r\n"))
			m := rec.take(t, i)
			if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				refused++
				assert.Equal(t, 400, status, "%q", s)
				assert.Nil(t, m, "%q", s)
			} else if assert.Equal(t, 200, status, "%q", s) && assert.NotNil(t, m, "%q", s) {
				assert.Equal(t, []string{strings.Trim(s, " \t")}, m.values("X-Naughty"))
			}
		}
	}
	assert.Equal(t, 2*5, refused)
}

// A string that is the name and the value of a member arrives unchanged, whichever ops touched it
// and wherever it stands in a merge.
//
// proves F8, M18
func TestNaughtyNamesAndValues(t *testing.T) {
	t.Parallel()
	strs := naughtyStrings(t)
	upstream := serveTwin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		b, _ := json.Marshal(map[string]any{
			"same": map[string]string{strs[n]: strs[n]}, "named": map[string]string{"name": strs[n]}, "drop": map[string]string{strs[n]: "x"}})
		_, _ = w.Write(b)
	}))
	tr := upstream.transport()
	t.Cleanup(tr.CloseIdleConnections)
	r := chi.NewRouter()
	for i, s := range strs {
		leaf, err := backend.HTTP{Transport: tr}.New(backend.Spec{URL: "http://upstream/?n=" + strconv.Itoa(i)})
		require.NoError(t, err)
		path := func(names ...string) string { return document.PathOf(names...).String() }
		p := proxy.Merge(
			proxy.Grouped(s, leaf.With(gets(s, s), shape.Response(shape.Keep(path("same", s)), shape.Target("same")))),
			proxy.Part{Proxy: leaf.With(shape.Response(shape.Target(path("same", s)), shape.Group("to "+s)))},
			proxy.Part{Proxy: leaf.With(shape.Response(shape.Rename(path("same", s), "was "+s), shape.Target("same")))},
			proxy.Part{Proxy: leaf.With(gets(s, "deep "+s, s, s),
				shape.Response(shape.Rename("named.name", s), shape.Target("named"), shape.Group(s), shape.Group("deep "+s)))},
			proxy.Grouped("rest "+s, leaf.With(shape.Response(shape.Drop(path("drop", s)), shape.Keep("drop")))),
		)
		require.NoError(t, router.Mount(r, router.Route{Method: "GET", Pattern: "/" + strconv.Itoa(i), Endpoint: endpoint.Spec{Proxy: p}}))
	}
	gateway := serveWire(t, r)
	for i, s := range strs {
		status, body := ask(t, gateway, getText("/"+strconv.Itoa(i), ""))
		if !assert.Equal(t, 200, status, "%q", s) {
			continue
		}
		var got any
		require.NoError(t, json.Unmarshal(body, &got), "%s", body)
		type object = map[string]any
		assert.Equal(t, object{s: object{s: s}, "to " + s: s, "was " + s: s, "deep " + s: object{s: object{s: s}}, "rest " + s: object{"drop": object{}}},
			got, "%q", s)
	}
}

// gets returns an error unless the document has the value at the path.
func gets(value string, names ...string) proxy.Decorator {
	path := document.MustPath(document.PathOf(names...).String())
	return func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			res, err := next(ctx, req)
			if err != nil {
				return nil, err
			}
			if text, ok := res.Document.Get(path).Text(); !ok || text != value {
				return nil, errors.Join(fmt.Errorf("%q instead of %q", res.Document.Get(path), value), res.Close())
			}
			return res, nil
		}
	}
}
