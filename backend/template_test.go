package backend_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/proxy"
)

// proves U6, U3
func TestTheURLIsCompiledAsWritten(t *testing.T) {
	t.Parallel()
	rest := []string{"a", "", "b/c", ""}
	tests := []struct{ name, url, want string }{
		{"no path", "http://h", "http://h/"},
		{"no path but a query", "http://h?a=1", "http://h/?a=1"},
		{"base path", "http://h/base/x", "http://h/base/x"},
		{"trailing slash", "http://h/base/", "http://h/base/"},
		{"empty segments", "http://h//a//b", "http://h//a//b"},
		{"port", "http://h:8080/a", "http://h:8080/a"},
		{"one digit port", "http://127.0.0.1:9/a", "http://127.0.0.1:9/a"},
		{"IPv6", "https://[::1]:8443/a", "https://[::1]:8443/a"},
		{"upper case", "HTTP://H/A", "http://H/A"},
		{"underscore", "http://my_service/a", "http://my_service/a"},
		{"escapes", "http://h/a%2Fb/%E2%82%AC/c%20d", "http://h/a%2Fb/%E2%82%AC/c%20d"},
		{"what must be escaped", "http://h/a b/€", "http://h/a%20b/%E2%82%AC"},
		{"literal braces", "http://h/%7Bid%7D", "http://h/%7Bid%7D"},
		{"a segment", "http://h/users/{id}", "http://h/users/4%2F2"},
		{"first, middle, twice", "http://h/{id}/x/{id}/y", "http://h/4%2F2/x/4%2F2/y"},
		{"a part of a segment", "http://h/user-{id}.json", "http://h/user-4%2F2.json"},
		{"two in a segment", "http://h/{id}{id}", "http://h/4%2F24%2F2"},
		{"beside an escape", "http://h/a%2F{id}", "http://h/a%2F4%2F2"},
		{"a query value", "http://h/a?user={id}&fixed=1", "http://h/a?user=4%2F2&fixed=1"},
		{"a part of a query value", "http://h/a?q=id:{id}+x", "http://h/a?q=id:4%2F2+x"},
		{"odd queries", "http://h/a?&b&c=&d={id}&", "http://h/a?&b&c=&d=4%2F2&"},
		{"fixed escapes", "http://h/a?x=%26%3D+1", "http://h/a?x=%26%3D+1"},
		{"spaces in the query", "http://h/a?x=a b", "http://h/a?x=a%20b"},
		{"the rest", "http://h/{*}", "http://h/a//b%2Fc/"},
		{"the rest below a base", "http://h/base/{*}", "http://h/base/a//b%2Fc/"},
		{"the rest in the middle", "http://h/x/{*}/y", "http://h/x/a//b%2Fc//y"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := &answers{body: "{}"}
			p := newBackend(t, up, backend.Spec{URL: tt.url})
			req := proxy.NewRequest("GET", "/")
			req.Params.Set("id", "4/2")
			req.Params.SetRest(rest...)
			_, err := p(t.Context(), req)
			require.NoError(t, err)
			assert.Equal(t, tt.want, up.last.URL.String())
			parsed, err := url.ParseRequestURI(up.last.URL.RequestURI())
			require.NoError(t, err)
			assert.Equal(t, up.last.URL.Path, parsed.Path)
		})
	}
}

func TestTheURLsUserIsBasicAuthentication(t *testing.T) {
	t.Parallel()
	up := &answers{body: "{}"}
	p := newBackend(t, up, backend.Spec{URL: "http://me:p%40ss@h/a", Headers: []string{"*"}})
	req := proxy.NewRequest("GET", "/")
	req.Header.Set("Authorization", "Bearer client")
	_, err := p(t.Context(), req)
	require.NoError(t, err)
	user, password, _ := up.last.BasicAuth()
	assert.Equal(t, []string{"me", "p@ss"}, []string{user, password})
	assert.Nil(t, up.last.URL.User)
}

// proves U2, U3, U7, L13, D4
func TestAValueIsOnePlainSegmentOrValue(t *testing.T) {
	t.Parallel()
	values := []string{"5?admin=1#", "x&admin=1", "{{.B}}", "{id}", "$1", "%2e", "%2e%2e", "%2f", "a;b=c", "a@b", "a:b", "..;", "...",
		"../../admin", "..\\x", "+ +", "a=b&c", "\xff\xfe", "€", "\t\x01\x7f", "'\"<>`|^", strings.Repeat("é", 30<<10)}
	for _, value := range values {
		up := &answers{body: "{}"}
		p := newBackend(t, up, backend.Spec{URL: "http://h/a/{id}/b-{id}.c?x={id}&y=1", Given: []string{"id"}})
		req := proxy.NewRequest("GET", "/")
		req.Params.Set("id", value)
		_, err := p(t.Context(), req)
		require.NoError(t, err, "%.40q", value)
		u, err := url.ParseRequestURI(up.last.URL.RequestURI())
		require.NoError(t, err, "%.40q", value)
		segments := strings.Split(u.EscapedPath(), "/")
		require.Len(t, segments, 4, "%.40q", value)
		assert.Equal(t, []string{"", "a"}, segments[:2])
		for i, want := range []string{value, "b-" + value + ".c"} {
			got, err := url.PathUnescape(segments[i+2])
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
		q, err := url.ParseQuery(u.RawQuery)
		require.NoError(t, err)
		assert.Equal(t, url.Values{"x": {value}, "y": {"1"}}, q)
	}
}

// proves U2, U7, L13
func TestAValueThatIsNoSegmentFailsTheCall(t *testing.T) {
	t.Parallel()
	const inPath, inQuery, rest = "http://h/{id}", "http://h/?x={id}", "http://h/{*}"
	set := func(value string) func(*proxy.Params) { return func(p *proxy.Params) { p.Set("id", value) } }
	setRest := func(values ...string) func(*proxy.Params) { return func(p *proxy.Params) { p.SetRest(values...) } }
	tests := []struct {
		name, url string
		set       func(*proxy.Params)
		cause     string
	}{
		{"missing", inPath, setRest("a"), "param id: no value"},
		{"missing in the query", inQuery, setRest("a"), "param id: no value"},
		{"empty", inPath, set(""), "param id: the value is empty"},
		{"empty in the query", inQuery, set(""), "param id: the value is empty"},
		{"dot", inPath, set("."), `param id: the value is "." or ".."`},
		{"dots", inPath, set(".."), `param id: the value is "." or ".."`},
		{"NUL", inPath, set("a\x00b"), "param id: the value holds NUL, CR or LF"},
		{"CR", inPath, set("a\rb"), "param id: the value holds NUL, CR or LF"},
		{"LF in the query", inQuery, set("a\nb"), "param id: the value holds NUL, CR or LF"},
		{"no rest", rest, set("a"), "param *: no value"},
		{"dots in the rest", rest, setRest("a", "..", "b"), `param *: the value is "." or ".."`},
		{"NUL in the rest", rest, setRest("\x00"), "param *: the value holds NUL, CR or LF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := &answers{body: "{}"}
			req := proxy.NewRequest("GET", "/")
			tt.set(&req.Params)
			_, err := newBackend(t, up, backend.Spec{URL: tt.url})(t.Context(), req)
			assert.EqualError(t, err, "backend up: resolve: "+tt.cause)
			assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err), "of an earlier stage, not the client's fault")
			assert.Equal(t, 0, up.calls)
		})
	}
}

// proves U2
func TestNaughtyStringsArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	for i, s := range naughty(t) {
		up := &answers{body: "{}"}
		p := newBackend(t, up, backend.Spec{URL: "http://h/a/{id}?x={id}", Query: []string{"q"}})
		req := proxy.NewRequest("GET", "/")
		req.Params.Set("id", s)
		req.Query.Set("q", s)
		_, err := p(t.Context(), req)
		if s == "" || s == "." || s == ".." || strings.ContainsAny(s, "\x00\r\n") {
			assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err), "%d", i)
			continue
		}
		require.NoError(t, err, "%d", i)
		u, err := url.ParseRequestURI(up.last.URL.RequestURI())
		require.NoError(t, err, "%d", i)
		assert.Equal(t, 2, strings.Count(u.EscapedPath(), "/"))
		assert.Equal(t, "/a/"+s, u.Path)
		assert.Equal(t, url.Values{"x": {s}, "q": {s}}, u.Query())
	}
}

// naughty returns the Big List of Naughty Strings.
func naughty(t testing.TB) []string {
	t.Helper()
	file, err := filepath.Abs("../go.work")
	require.NoError(t, err)
	dir := os.Getenv("SLUICE_VECTORS")
	if dir == "" {
		dir = filepath.Join(filepath.Dir(file), "..", "shared", "vectors")
	}
	b, err := os.ReadFile(filepath.Join(dir, "blns", "blns.json"))
	if os.IsNotExist(err) {
		t.Skip("the vectors are not here; SLUICE_VECTORS says where they are")
	}
	require.NoError(t, err)
	var all []string
	require.NoError(t, json.Unmarshal(b, &all))
	require.NotEmpty(t, all)
	return all
}

// FuzzTemplate checks that no value changes the shape of the URL (HARDENING U2).
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"a", "..", "../x", "a?b#c", "%2f", "{id}", ";", "\x00", "\xff", "a b+c", "!*'()"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, id, second string) {
		up := &answers{body: "{}"}
		p := newBackend(t, up, backend.Spec{URL: "http://h/a/{id}/b/{*}?x={id}&y=1"})
		req := proxy.NewRequest("GET", "/")
		req.Params.Set("id", id)
		req.Params.SetRest(second, "z")
		_, err := p(t.Context(), req)
		if err != nil {
			require.Equal(t, 0, up.calls)
			return
		}
		u, err := url.ParseRequestURI(up.last.URL.RequestURI())
		require.NoError(t, err)
		segments := strings.Split(u.EscapedPath(), "/")
		require.Len(t, segments, 6)
		for i, want := range []string{"", "a", id, "b", second, "z"} {
			got, err := url.PathUnescape(segments[i])
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.NotContains(t, []string{".", ".."}, got)
		}
		q, err := url.ParseQuery(u.RawQuery)
		require.NoError(t, err)
		require.Equal(t, url.Values{"x": {id}, "y": {"1"}}, q)
		require.Equal(t, "h", up.last.URL.Host)
	})
}

// proves U2
func TestASemicolonGoesAsItIsWhereTheSpecSaysSo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		semicolons bool
		value      string
		want       string
	}{
		{false, "cars;color=red", "/v/cars%3Bcolor=red/x"}, {true, "cars;color=red", "/v/cars;color=red/x"},
		{true, "a;b/c é", "/v/a;b%2Fc%20%C3%A9/x"}, {true, ";", "/v/;/x"},
	} {
		up := &answers{body: `{}`}
		p := newBackend(t, up, backend.Spec{URL: "http://h/v/{id}/x", Given: []string{"id"}, Semicolons: tt.semicolons})
		req := proxy.NewRequest("GET", "/")
		req.Params.Set("id", tt.value)
		_, err := p(t.Context(), req)
		require.NoError(t, err)
		assert.Equal(t, tt.want, up.last.URL.EscapedPath())
	}
}
