package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/proxytest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// boundTo returns a sequence of two stages. The stage "login" answers with res; the stage "orders"
// has the bindings and answers with next.
func boundTo(res func() *proxy.Response, next proxy.Proxy, optional bool, bs ...proxy.Binding) proxy.Proxy {
	return proxy.Sequence(
		proxy.Stage{Name: "login", Group: "login", Proxy: called(func() (*proxy.Response, error) { return res(), nil })},
		proxy.Stage{Name: "orders", Optional: optional, Bind: bs, Proxy: next},
	)
}

// assertNotBound asserts that a binding that cannot be made fails its stage with want and 502, and
// that the stage is not called.
func assertNotBound(t *testing.T, res func() *proxy.Response, b proxy.Binding, want string) *proxy.BindError {
	t.Helper()
	_, err := boundTo(res, notCalled(t), false, b)(t.Context(), get())
	assert.EqualError(t, err, "sequence: stage orders: "+want)
	assert.Equal(t, 502, proxy.StatusOf(err), "the client is not at fault")
	fault, ok := errors.AsType[*proxy.BindError](err)
	require.True(t, ok)

	partial, err := boundTo(res, notCalled(t), true, b)(t.Context(), get())
	require.NoError(t, err)
	assert.EqualError(t, partial.Err, "stage orders: "+want)
	return fault
}

// proves U7, H7, H6
func TestBindHeaderTakesTheHeaderAsItIsAndNothingElse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		header http.Header
		want   []string
		fault  string
	}{
		{"one value", http.Header{"X-Session": {"s-1"}}, []string{"s-1"}, ""},
		{"several, in order", http.Header{"X-Session": {"b", "a"}}, []string{"b", "a"}, ""},
		{"a tab and bytes above ASCII", http.Header{"X-Session": {"a\té"}}, []string{"a\té"}, ""},

		{"none", http.Header{"X-Other": {"1"}}, nil, "there is no such header; a backend gives only those that its Expose names"},
		{"no headers at all", nil, nil, "there is no such header; a backend gives only those that its Expose names"},
		{"without a value", http.Header{"X-Session": {}}, nil, "there is no such header; a backend gives only those that its Expose names"},
		{"an empty one", http.Header{"X-Session": {""}}, nil, "the value is empty or contains a control character"},
		{"blanks", http.Header{"X-Session": {" \t"}}, nil, "the value is empty or contains a control character"},
		{"an empty one among others", http.Header{"X-Session": {"a", ""}}, nil, "the value is empty or contains a control character"},
		{"CR and LF", http.Header{"X-Session": {"secret\r\nX-Admin: 1"}}, nil, "the value is empty or contains a control character"},
		{"NUL", http.Header{"X-Session": {"secret\x00"}}, nil, "the value is empty or contains a control character"},
		{"DEL, after a valid one", http.Header{"X-Session": {"a", "secret\x7f"}}, nil, "the value is empty or contains a control character"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res := func() *proxy.Response { return &proxy.Response{Status: 204, Header: tt.header} }
			if tt.fault != "" {
				fault := assertNotBound(t, res, proxy.BindHeader("X-Token", "login", "x-session"),
					"bind header X-Token: header X-Session of stage login: "+tt.fault)
				assert.Equal(t, proxy.BindError{Target: "header", Param: "X-Token", Stage: "login", Header: "X-Session", Err: fault.Err}, *fault)
				return
			}
			var got http.Header
			page := boundTo(res, func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
				got = req.Upstream.Clone()
				assert.Equal(t, http.Header{"Accept": {"*/*"}}, req.Header, "what the client sent under the name or a twin is gone")
				req.Upstream["X-Token"][0] = "changed"
				return &proxy.Response{}, nil
			}, false, proxy.BindHeader("x-token", "login", "X-Session"))
			req := get()
			req.Header = http.Header{"Accept": {"*/*"}, "X-Token": {"forged"}, "X_token": {"forged"}}
			req.Upstream = http.Header{"X.token": {"of code"}, "X-Other": {"1"}}
			_, err := page(t.Context(), req)
			require.NoError(t, err)
			assert.Equal(t, http.Header{"X-Token": tt.want, "X-Other": {"1"}}, got)
			assert.NotEqual(t, "changed", tt.header["X-Session"][0], "the answer of the other stage is not written to")
			assert.Len(t, req.Header, 3, "and neither is the request of the sequence")
		})
	}
}

func TestBindHeaderNeedsTheNameOnceIfItStays(t *testing.T) {
	t.Parallel()
	login := proxytest.NewUpstream(proxytest.Answer(204, "").Header("X-Session", "s-1"))
	orders := proxytest.NewUpstream(proxytest.Answer(200, `{"total":1}`))
	from, err := backend.HTTP{Transport: login}.New(backend.Spec{Name: "login", URL: "http://login/", Expose: []string{"X-Session"}})
	require.NoError(t, err)
	to, err := backend.HTTP{Transport: orders}.New(backend.Spec{Name: "orders", URL: "http://orders/"})
	require.NoError(t, err)
	page := proxy.Sequence(
		proxy.Stage{Proxy: from, Internal: true},
		proxy.Stage{Proxy: to, Bind: []proxy.Binding{proxy.BindHeader("X-Session", "login", "")}},
	)
	res, err := page(t.Context(), get())
	require.NoError(t, err)
	orders.Only(t).AssertHeader(t, "X-Session", "s-1")
	assert.Empty(t, res.Header, "the client does not get it")
}

// proves U7, U3, D1
func TestBindQueryReachesAnUpstreamThatDoesNotNameIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, doc string
		want      string // of the query that is sent
		fault     string
	}{
		{"a string", `{"id":"a-1"}`, "account=a-1", ""},
		{"a number, digit for digit", `{"id":1.50}`, "account=1.50", ""},
		{"what would end the parameter", `{"id":"a&role=admin#x y=é"}`, "account=a%26role%3Dadmin%23x+y%3D%C3%A9", ""},
		{"missing", `{}`, "", "no document"},
		{"null", `{"id":null}`, "", "the value is of kind null, not a scalar"},
		{"an object", `{"id":{"x":"secret"}}`, "", "the value is of kind object, not a scalar"},
		{"a dot", `{"id":"."}`, "account=.", ""},
		{"two dots", `{"id":".."}`, "account=..", ""},
		{"empty", `{"id":""}`, "", "the value is empty"},
		{"LF", `{"id":"secret\n"}`, "", "the value holds NUL, CR or LF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res := func() *proxy.Response { return &proxy.Response{Document: asDocument(t, tt.doc)} }
			bind := proxy.BindQuery("account", "login", "id")
			if tt.fault != "" {
				fault := assertNotBound(t, res, bind, "bind query account: id of stage login: "+tt.fault)
				assert.Equal(t, proxy.BindError{Target: "query", Param: "account", Stage: "login", Path: "id", Err: fault.Err}, *fault)
				return
			}
			up := proxytest.NewUpstream(proxytest.Answer(200, `{}`))
			orders, err := backend.HTTP{Transport: up}.New(backend.Spec{URL: "http://orders/"})
			require.NoError(t, err)
			req := get()
			req.RawQuery = "account=forged&page=2"
			req.Query.Set("account", "forged")
			req.Query.Set("page", "2")
			_, err = boundTo(res, orders, false, bind)(t.Context(), req)
			require.NoError(t, err)
			assert.Equal(t, "http://orders/?"+tt.want, up.Only(t).URL)
			assert.Equal(t, "forged", req.Query.Get("account"), "the request of the sequence stays as it is")
			assert.Empty(t, req.UpstreamQuery)
		})
	}
}

// proves U7, F8
func TestBindBodySendsTheValueAsItIs(t *testing.T) {
	t.Parallel()
	const doc = `{"account":{"id":1.50, "tags":[]},"name":"\u0041da","none":null,"list":[1,2]}`
	for path, want := range map[string]string{
		"account": `{"id":1.50, "tags":[]}`, "account.id": `1.50`, "name": `"\u0041da"`, "none": `null`, "list": `[1,2]`, "list.1": `2`, "": doc,
	} {
		res := func() *proxy.Response { return &proxy.Response{Document: asDocument(t, doc)} }
		page := boundTo(res, func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			for range 2 {
				body, err := io.ReadAll(req.Body)
				require.NoError(t, err)
				assert.Equal(t, want, string(body))
				req.Body, err = req.GetBody()
				require.NoError(t, err)
			}
			assert.EqualValues(t, len(want), req.ContentLength)
			assert.Equal(t, http.Header{"Content-Type": {"application/json"}, "X": {"1"}}, req.Header)
			parsed, err := req.Document()
			assert.NoError(t, err)
			assert.Equal(t, want, parsed.String(), "not the client's")
			return &proxy.Response{}, nil
		}, false, proxy.BindBody("login", path))
		req, opened := withBody(`{"of":"the client"}`)
		req.Header = http.Header{"Content-Type": {"text/plain"}, "Content-Encoding": {"gzip"}, "X": {"1"}}
		_, err := page(t.Context(), req)
		require.NoError(t, err)
		assertClosedOnce(t, *opened...)
	}

	object := func() *proxy.Response { return &proxy.Response{Document: asDocument(t, `{"a":1}`)} }
	fault := assertNotBound(t, object, proxy.BindBody("login", "account"), "bind body: account of stage login: no document")
	assert.Equal(t, proxy.BindError{Target: "body", Stage: "login", Path: "account", Err: document.ErrAbsent}, *fault)
	nothing := func() *proxy.Response { return &proxy.Response{Status: 204} }
	assertNotBound(t, nothing, proxy.BindBody("login", ""), "bind body: the document of stage login: no document")
}

// proves M15, U7
func TestABindingOfAnyKindToAStageThatGaveNothing(t *testing.T) {
	t.Parallel()
	no := func(context.Context, *proxy.Request, proxy.Results) bool { return false }
	for _, b := range []struct {
		bind proxy.Binding
		text string
	}{
		{proxy.BindHeader("X-Session", "login", ""), "bind header X-Session: header X-Session of stage login"},
		{proxy.BindQuery("account", "login", "id"), "bind query account: id of stage login"},
		{proxy.BindBody("login", "id"), "bind body: id of stage login"},
	} {
		for _, given := range []struct {
			login proxy.Stage
			why   string
		}{
			{proxy.Stage{Optional: true, Proxy: fails(errors.New("boom"))}, "the stage failed: boom"},
			{proxy.Stage{When: no, Proxy: notCalled(t)}, "the stage was skipped: no document"},
		} {
			given.login.Name = "login"
			orders := proxy.Stage{Name: "orders", Proxy: notCalled(t), Bind: []proxy.Binding{b.bind}}
			other := proxy.Stage{Name: "other", Proxy: says(t, `{"c":3}`)}
			_, err := proxy.Sequence(given.login, orders, other)(t.Context(), get())
			assert.EqualError(t, err, "sequence: stage orders: "+b.text+": "+given.why)
			assert.Equal(t, 502, proxy.StatusOf(err))

			orders.Optional = true
			res, err := proxy.Sequence(given.login, orders, other)(t.Context(), get())
			require.NoError(t, err)
			assert.Equal(t, `{"c":3}`, res.Document.String(), "an optional one is skipped")
		}
	}
}

func TestABindingThatCannotBeMadeIsAFault(t *testing.T) {
	t.Parallel()
	managed := func(name string) string { return "only the backend sets " + name }
	ofBody := func(name string) string { return name + " belongs to a body, and is set with it" }
	header := func(name string) proxy.Binding { return proxy.BindHeader(name, "login", "X-Session") }
	tests := []struct {
		binding proxy.Binding
		want    string
	}{
		{header("X Session"), `binds header "X Session": it is not the name of a header`},
		{header(""), `binds header "": it is not the name of a header`},
		{header("X:A"), `binds header "X:A": it is not the name of a header`},
		{header("connection"), `binds header "Connection": ` + managed("Connection")},
		{header("TE"), `binds header "Te": ` + managed("Te")},
		{header("Transfer_Encoding"), `binds header "Transfer_encoding": ` + managed("Transfer-Encoding")},
		{header("Host"), `binds header "Host": ` + managed("Host")},
		{header("Content-Length"), `binds header "Content-Length": ` + managed("Content-Length")},
		{header("content-type"), `binds header "Content-Type": ` + ofBody("Content-Type")},
		{header("Content.Encoding"), `binds header "Content.encoding": ` + ofBody("Content-Encoding")},
		{header("Digest"), `binds header "Digest": ` + ofBody("Digest")},
		{proxy.BindHeader("X-A", "login", "X A"), `binds header "X-A": the header "X A" of the answer is not the name of a header`},
		{proxy.BindHeader("X-A", "login", "Keep-Alive"), `binds header "X-A": the header "Keep-Alive" of the answer belongs to the connection`},
		{proxy.BindHeader("X-A", "logout", "X-A"), `binds header "X-A" to stage "logout", which does not exist`},
		{proxy.BindHeader("X-A", "orders", "X-A"), `binds header "X-A" to stage "orders", which is not called earlier`},
		{proxy.BindQuery("", "login", "id"), `binds query "": the name is empty`},
		{proxy.BindQuery("a", "login", ""), `binds query "a": document: invalid path: empty name`},
		{proxy.BindQuery("a", "login", "*.id"), `binds query "a": the path "*.id" has a wildcard, so it leads to no single value`},
		{proxy.BindQuery("a", "logout", "id"), `binds query "a" to stage "logout", which does not exist`},
		{proxy.BindBody("login", "a..b"), `binds body: document: path "a..b": invalid path: empty name`},
		{proxy.BindBody("login", "items.*"), `binds body: the path "items.*" has a wildcard, so it leads to no single value`},
		{proxy.BindBody("", ""), `binds body to stage "", which does not exist`},
	}
	login := proxy.Stage{Name: "login", Proxy: says(t, `{}`)}
	for _, tt := range tests {
		p := proxy.Sequence(login, proxy.Stage{Name: "orders", Proxy: says(t, `{}`), Bind: []proxy.Binding{tt.binding}})
		assertFault(t, "proxy: Sequence: stage 2 (orders) "+tt.want, p)
	}
	for want, bs := range map[string][]proxy.Binding{
		`binds header "X_session" twice`: {header("X-Session"), header("x_session")},
		`binds query "a" twice`:          {proxy.BindQuery("a", "login", "x"), proxy.BindQuery("a", "login", "y")},
		`binds body twice`:               {proxy.BindBody("login", "x"), proxy.BindBody("login", "y")},
	} {
		assertFault(t, "proxy: Sequence: stage 2 (orders) "+want, proxy.Sequence(login, proxy.Stage{Name: "orders", Proxy: says(t, `{}`), Bind: bs}))
	}
	all := []proxy.Binding{proxy.Bind("a b", "nope", "a..b"), proxy.BindHeader("Host", "orders", "TE"), proxy.BindHeader("Host", "login", "X A")}
	assertFault(t, `proxy: Sequence: stage 2 (orders) binds "a b": the name is not a valid placeholder name
proxy: Sequence: stage 2 (orders) binds "a b": document: path "a..b": invalid path: empty name
proxy: Sequence: stage 2 (orders) binds "a b" to stage "nope", which does not exist
proxy: Sequence: stage 2 (orders) binds header "Host": only the backend sets Host
proxy: Sequence: stage 2 (orders) binds header "Host": the header "Te" of the answer belongs to the connection
proxy: Sequence: stage 2 (orders) binds header "Host" to stage "orders", which is not called earlier
proxy: Sequence: stage 2 (orders) binds header "Host": only the backend sets Host
proxy: Sequence: stage 2 (orders) binds header "Host": the header "X A" of the answer is not the name of a header
proxy: Sequence: stage 2 (orders) binds header "Host" twice`, proxy.Sequence(login, proxy.Stage{Name: "orders", Proxy: says(t, `{}`), Bind: all}))
	one := []proxy.Binding{proxy.Bind("a", "login", "x"), proxy.BindQuery("a", "login", "x"), header("a"), proxy.BindQuery("A", "login", "x")}
	assert.NoError(t, pipe.PlanOf(proxy.Sequence(login, proxy.Stage{Name: "orders", Proxy: says(t, `{}`), Bind: one})).Faults(), "they are different things")
}

func TestBindingsAreStepsOfThePlan(t *testing.T) {
	t.Parallel()
	leaf := func(name string) proxy.Proxy {
		return pipe.Describe(fails(nil), pipe.Step{Kind: "backend", Name: name, Effects: pipe.Terminal | pipe.HonoursContext})
	}
	p := proxy.Sequence(proxy.Stage{Proxy: leaf("login")}, proxy.Stage{Proxy: leaf("orders"), Bind: []proxy.Binding{
		proxy.BindHeader("x-token", "login", "x-session"), proxy.BindQuery("account", "login", "account.id"), proxy.BindBody("login", "account"),
	}}, proxy.Stage{Proxy: leaf("last"), Bind: []proxy.Binding{proxy.BindBody("orders", "")}})
	plan := pipe.PlanOf(p)
	assert.Equal(t, `↔ sequence (3 stages), in order
  · stage login
    ↔ backend login
  · stage orders
    → bind-header X-Token (header X-Session of login)
      → bind-query account (account.id of login)
        → bind-body (account of login)
          ↔ backend orders
  · stage last
    → bind-body (the document of orders)
      ↔ backend last
`, plan.String())
	assert.True(t, plan.HonoursContext())
	for _, name := range []string{"X-Token", "account"} {
		assert.NoError(t, plan.Before(name, "orders"))
	}
}

// FuzzBindHeader binds any value. Either it arrives byte for byte, or the stage fails with the
// status of a faulty upstream.
//
// proves H7, U7
func FuzzBindHeader(f *testing.F) {
	for _, s := range []string{"s-1", "", " ", "a\r\nX: y", "a\x00", "é", "\t", "a\tb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got []string
		page := boundTo(func() *proxy.Response { return &proxy.Response{Status: 204, Header: http.Header{"A": {s}}} },
			func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
				got = req.Upstream["B"]
				return &proxy.Response{}, nil
			}, false, proxy.BindHeader("B", "login", "A"))
		_, err := page(t.Context(), get())
		if err == nil {
			assert.Equal(t, []string{s}, got)
			for _, c := range []byte(s) {
				assert.True(t, c == '\t' || c >= ' ' && c != 0x7f, fmt.Sprintf("%q", s))
			}
			return
		}
		assert.Empty(t, got)
		assert.Equal(t, 502, proxy.StatusOf(err))
	})
}
