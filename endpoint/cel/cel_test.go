package cel_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/cel"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func TestTheLawsOfDecorators(t *testing.T) {
	t.Parallel()
	always := map[string]cel.Var{"yes": func(context.Context, *proxy.Request, *proxy.Response) (any, error) { return true, nil }}
	for name, d := range map[string]proxy.Decorator{
		"Allow":      cel.Allow(`req.method != "" && req.remote == req.remote`),
		"AllowWith":  cel.AllowWith(cel.Spec{Name: "n", Expr: `yes == true`, Vars: always}),
		"Answer":     cel.Answer(`res.status < 600`),
		"AnswerWith": cel.AnswerWith(cel.Spec{Name: "n", Expr: `yes == true`, Vars: always}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxytest.Conform(t, d)
		})
	}
}

// proves T6
func TestARequestPassesIfTheExpressionIsTrue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		expr string
		want int // for the request of a caller
		none int // for one of nobody
	}{
		{`true`, 200, 200},
		{`false`, 403, 403},
		{`req.method == "GET" && req.path == "/orders/7" && req.host == "api.example.com"`, 200, 200},
		{`req.remote == ""`, 200, 200},
		{`req.query.page == ["2"]`, 200, 200},
		{`req.query["page"][0] == "2"`, 200, 200},
		{`req.query.size[0] == "2"`, 403, 403},
		{`!has(req.query.size)`, 200, 200},
		{`"page" in req.query`, 200, 200},
		{`req.headers["x-tenant"] == ["acme"]`, 200, 200},
		{`req.headers["X-Tenant"] == ["acme"]`, 403, 403},
		{`req.headers.accept.exists(a, a == "c/d") && size(req.headers) == 2`, 200, 200},
		{`req.params.id == "7"`, 200, 200},
		{`req.params.other == "7"`, 403, 403},
		{`req.params.other != "7"`, 403, 403},
		{`caller.known`, 200, 403},
		{`caller.id == "ada" && caller.issuer == "iss" && caller.scheme == "jwt"`, 200, 403},
		{`"admin" in caller.roles`, 200, 403},
		{`"nobody" in caller.roles`, 403, 403},
		{`!("banned" in caller.roles)`, 200, 403},
		{`caller.id != "eve"`, 200, 403},
		{`!caller.known || "admin" in caller.roles`, 200, 200},
		{`"orders:read" in caller.scopes`, 200, 403},
		{`caller.claims.tenant == "acme" && caller.claims.tenant == req.headers["x-tenant"][0]`, 200, 403},
		{`caller.claims.level > 2 && caller.claims.level < 3.5 && caller.claims.ratio < 1`, 200, 403},
		{`caller.claims.level == 3 && caller.claims.level == 3.0 && caller.claims.level == 3u`, 200, 403},
		{`caller.claims.account.id == 9007199254740993`, 200, 403},
		{`caller.claims.account.id == 9007199254740992`, 403, 403},
		{`caller.claims.unsigned == 18446744073709551615u`, 200, 403},
		{`caller.claims.big > 0`, 403, 403},
		{`"b" in caller.claims.tags && caller.claims.tags[0] == "a" && size(caller.claims.tags) == 2`, 200, 403},
		{`caller.claims.tags[2] == "a"`, 403, 403},
		{`caller.claims.gone == null`, 200, 403},
		{`!has(caller.claims.absent)`, 200, 403},
		{`caller.claims.absent == null`, 403, 403},
		{`caller.claims.twice == 2`, 200, 403},
		{`caller.claims.tenant > 3`, 403, 403},
		{`caller.claims.exists(name, name == "tenant")`, 200, 403},
		{`now > timestamp("2020-01-01T00:00:00Z") && now == now`, 200, 200},
		{`caller.claims.absent || true`, 200, 200},
		{`1 / 0 == 1`, 403, 403},
	}
	for _, tt := range tests {
		t.Run(tt.expr, func(t *testing.T) {
			t.Parallel()
			p := proxy.Proxy(ok).With(cel.Allow(tt.expr))
			require.NoError(t, pipe.PlanOf(p).Faults())
			for i, req := range []*proxy.Request{called(), request()} {
				want := []int{tt.want, tt.none}[i]
				res, err := p(t.Context(), req)
				assert.Equal(t, want, proxy.Status(res, err), "%v", err)
				assert.Equal(t, want != 200, errors.Is(err, auth.ErrDenied))
			}
		})
	}
}

func TestTheAddressOfAClientIsReadWithoutItsPort(t *testing.T) {
	t.Parallel()
	req := request()
	req.Remote = netip.MustParseAddrPort("192.0.2.1:4711")
	_, err := proxy.Proxy(ok).With(cel.Allow(`req.remote == "192.0.2.1"`))(t.Context(), req)
	assert.NoError(t, err)
}

func TestHeadersInSeveralSpellingsAreOne(t *testing.T) {
	t.Parallel()
	req := request()
	req.Header["x-tenant"] = []string{"evil"}
	_, err := proxy.Proxy(ok).With(cel.Allow(`size(req.headers["x-tenant"]) == 1`))(t.Context(), req)
	assert.ErrorIs(t, err, auth.ErrDenied)
	assert.Equal(t, []string{"acme"}, req.Header["X-Tenant"])
}

// proves O20
func TestAnExpressionThatCannotWorkIsAFault(t *testing.T) {
	t.Parallel()
	nothing := func(context.Context, *proxy.Request, *proxy.Response) (any, error) { return nil, nil }
	tests := []struct {
		name string
		spec cel.Spec
		want string
	}{
		{"misspelt", cel.Spec{Expr: "req.method == 'GET' ||\n req.metod == 'PUT'"},
			`cel: Allow: "req.method == 'GET' ||\n req.metod == 'PUT'": 2:5: undeclared reference to 'req.metod' (did you mean 'req.method'?)`},
		{"none", cel.Spec{Expr: " "}, `cel: Allow: " ": there is no expression`},
		{"several", cel.Spec{Expr: `a && b`}, `cel: Allow: "a && b": 1:1: undeclared reference to 'a'` + "\n" +
			`cel: Allow: "a && b": 1:6: undeclared reference to 'b'`},
		{"of another type", cel.Spec{Expr: `req.method`}, `cel: Allow: "req.method": it is string and not bool`},
		{"of any type", cel.Spec{Expr: `caller.claims.admin`}, `cel: Allow: "caller.claims.admin": it is dyn and not bool: compare it, as in "== true"`},
		{"a list and a text", cel.Spec{Name: "page", Expr: `req.query.page == "1"`},
			`cel: Allow: "page": 1:16: found no matching overload for '_==_' applied to '(list(string), string)'`},
		{"of an answer", cel.Spec{Expr: `res.status == 200`}, `cel: Allow: "res.status == 200": 1:1: undeclared reference to 'res'`},
		{"too expensive", cel.Spec{Expr: `[1, 2, 3].all(x, x > 0)`, MaxCost: 2}, `cel: Allow: "[1, 2, 3].all(x, x > 0)": it costs at least 20, and may cost 2`},
		{"names", cel.Spec{Expr: `true`, Vars: map[string]cel.Var{"a b": nothing, "req.x": nothing, "in": nothing, "x": nil, "now": nothing}},
			`cel: Allow: "true": Vars: "a b" is not a name` + "\n" + `cel: Allow: "true": Vars: "in" is not a name` + "\n" +
				`cel: Allow: "true": Vars: "now" begins like a variable of the package` + "\n" +
				`cel: Allow: "true": Vars: "req.x" begins like a variable of the package` + "\n" +
				`cel: Allow: "true": Vars: the function of "x" is nil`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := proxy.Proxy(ok).With(cel.AllowWith(tt.spec))
			step := pipe.PlanOf(p)
			require.Error(t, step.Faults())
			var texts []string
			for s := range step.All() {
				if s.Err != nil {
					texts = append(texts, s.Err.Error())
				}
			}
			assert.Equal(t, tt.want, strings.Join(texts, "\n"))
			_, err := p(t.Context(), called())
			assert.Error(t, err, "and it serves nobody")
		})
	}
	for _, expr := range []string{``, `(`, strings.Repeat("(", 10_000), `"a`, "\x00", `x.`} {
		assert.Error(t, pipe.PlanOf(proxy.Proxy(ok).With(cel.Answer(expr))).Faults(), "%.20q", expr)
	}
}

func TestAnAnswerPassesIfTheExpressionIsTrue(t *testing.T) {
	t.Parallel()
	doc := document.MustParse(`{"items":[{"id":1,"owner":"ada"},{"id":2,"owner":"eve"}],"total":2,"deep":{"er":{"est":true}}}`)
	tests := []struct {
		expr string
		res  *proxy.Response
		want int
	}{
		{`res.status == 200 && res.complete`, &proxy.Response{Document: doc}, 200},
		{`res.status == 201`, &proxy.Response{Status: 201, Document: doc}, 201},
		{`res.complete`, &proxy.Response{Document: doc, Err: errors.New("part")}, 403},
		{`res.data.total == size(res.data.items)`, &proxy.Response{Document: doc}, 200},
		{`res.data.items.all(i, i.owner == caller.id)`, &proxy.Response{Document: doc}, 403},
		{`res.data.items[0].owner == caller.id && res.data.deep.er.est == true`, &proxy.Response{Document: doc}, 200},
		{`res.data.absent == 1`, &proxy.Response{Document: doc}, 403},
		{`res.data == null`, &proxy.Response{Status: 204}, 204},
		{`res.data == null`, &proxy.Response{Document: document.MustParse(`null`)}, 200},
		{`res.data == "text"`, &proxy.Response{Document: document.MustParse(`"te\u0078t"`)}, 200},
		{`res.data > 1.0`, &proxy.Response{Document: document.MustParse(`1e999`)}, 403},
	}
	for _, tt := range tests {
		t.Run(tt.expr, func(t *testing.T) {
			t.Parallel()
			p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
				return tt.res, nil
			}).With(cel.Answer(tt.expr))
			require.NoError(t, pipe.PlanOf(p).Faults())
			res, err := p(t.Context(), called())
			assert.Equal(t, tt.want, proxy.Status(res, err), "%v", err)
		})
	}
}

// proves F10
func TestARefusedStreamIsClosed(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]int{`res.status == 200`: 200, `res.status == 404`: 403, `res.data == null`: 403, `res.status == 200 || res.data == 1`: 200} {
		body := proxytest.NewBody("rows")
		res, err := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Body: body}, nil
		}).
			With(cel.Answer(expr))(t.Context(), request())
		assert.Equal(t, want, proxy.Status(res, err), expr)
		if want == 403 {
			assert.Equal(t, 1, body.Closes())
		} else {
			assert.Zero(t, body.Closes())
			assert.NoError(t, res.Close())
		}
	}
}

func TestAFailureIsHandedOnWithoutALook(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	_, err := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, down }).With(cel.Answer(`false`))(t.Context(), request())
	assert.Equal(t, down, err)
}

// The names are those of a gateway that people come from.
func TestVariablesAreFunctionsOfRequestAndAnswer(t *testing.T) {
	t.Parallel()
	vars := map[string]cel.Var{
		"JWT": func(_ context.Context, req *proxy.Request, _ *proxy.Response) (any, error) {
			return req.Caller.Claims, nil
		},
		"req_params": func(_ context.Context, req *proxy.Request, _ *proxy.Response) (any, error) {
			return map[string]string{"Id": req.Params.Get("id")}, nil
		},
		"resp_data": func(_ context.Context, _ *proxy.Request, res *proxy.Response) (any, error) { return res.Document, nil },
		"any.of.these": func(context.Context, *proxy.Request, *proxy.Response) (any, error) {
			return []any{document.MustParse(`{"a":[1]}`), nil, 2.5}, nil
		},
	}
	for _, expr := range []string{
		`JWT.tags.exists(x, x == "a") && req_params.Id == "7"`,
		`resp_data.user == JWT.tenant`,
		`any.of.these[0].a[0] == 1 && any.of.these[1] == null && any.of.these[2] > 2`,
	} {
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Document: document.MustParse(`{"user":"acme"}`)}, nil
		}).With(cel.AnswerWith(cel.Spec{Expr: expr, Vars: vars}))
		require.NoError(t, pipe.PlanOf(p).Faults(), expr)
		_, err := p(t.Context(), called())
		assert.NoError(t, err, expr)
	}
}

func TestAVariableIsAskedOnceAndOnlyIfItIsRead(t *testing.T) {
	t.Parallel()
	asked := map[string]int{}
	count := func(name string) cel.Var {
		return func(_ context.Context, _ *proxy.Request, res *proxy.Response) (any, error) {
			assert.Nil(t, res)
			asked[name]++
			return []string{"a", "b"}, nil
		}
	}
	p := proxy.Proxy(ok).With(cel.AllowWith(cel.Spec{Expr: `size(many) == 2 && ["a", "b"].all(x, x in many) || size(never) == 1`,
		Vars: map[string]cel.Var{"many": count("many"), "never": count("never"), "unused": count("unused")}}))
	_, err := p(t.Context(), request())
	assert.NoError(t, err)
	assert.Equal(t, map[string]int{"many": 1}, asked)
}

// proves T6
func TestAVariableThatFailsLetsNothingPass(t *testing.T) {
	t.Parallel()
	type own struct{ Unknown chan int }
	tests := []struct {
		name string
		v    cel.Var
		want int
	}{
		{"an error", func(context.Context, *proxy.Request, *proxy.Response) (any, error) { return true, errors.New("lost") }, 403},
		{"one with a status", func(context.Context, *proxy.Request, *proxy.Response) (any, error) {
			return true, &proxy.Error{Status: 503, Err: errors.New("store down")}
		}, 503},
		{"a panic", func(context.Context, *proxy.Request, *proxy.Response) (any, error) { panic("bug") }, 500},
		{"a nil pointer", func(_ context.Context, _ *proxy.Request, res *proxy.Response) (any, error) { return res.Status, nil }, 500},
	}
	for _, tt := range tests {
		for _, expr := range []string{`v == true`, `v == true || true`, `true || v == true`, `v != false`} {
			p := proxy.Proxy(ok).With(cel.AllowWith(cel.Spec{Name: "mine", Expr: expr, Vars: map[string]cel.Var{"v": tt.v}}))
			_, err := p(t.Context(), request())
			if expr == `true || v == true` { // never asked
				assert.NoError(t, err)
				continue
			}
			assert.Equal(t, tt.want, proxy.StatusOf(err), "%s: %s: %v", tt.name, expr, err)
			assert.ErrorContains(t, err, `cel: "mine": `)
		}
	}
	for _, v := range []any{own{}, &own{}, make(chan int), func() {}, struct{ A int }{1}} {
		p := proxy.Proxy(ok).With(cel.AllowWith(cel.Spec{Expr: `v != 1`, Vars: map[string]cel.Var{
			"v": func(context.Context, *proxy.Request, *proxy.Response) (any, error) { return v, nil }}}))
		_, err := p(t.Context(), request())
		assert.Equal(t, 403, proxy.StatusOf(err), "%T", v)
	}
}

// A stack that overflows would end the process.
func TestAVariableMayContainItself(t *testing.T) {
	t.Parallel()
	type list []list
	type node map[string]*node
	type texts map[int][]any
	byName, elements, itself, nodes, others := map[string]any{}, []any{nil}, list{nil}, node{}, texts{1: {nil}}
	byName["a"], elements[0], itself[0], nodes["a"], others[1][0] = byName, elements, itself, &nodes, others
	pointer := any(nil)
	pointer = &pointer
	for _, v := range []any{byName, elements, itself, nodes, &nodes, others, pointer} {
		for _, expr := range []string{`v == v`, `v != v`, `v in [v]`, `{"a": v} == {"a": v}`} {
			p := proxy.Proxy(ok).With(cel.AllowWith(cel.Spec{Expr: expr, Vars: map[string]cel.Var{
				"v": func(context.Context, *proxy.Request, *proxy.Response) (any, error) { return v, nil }}}))
			_, err := p(t.Context(), request())
			if err != nil { // CEL takes two values that cannot be compared for different
				assert.Equal(t, 403, proxy.StatusOf(err), "%T %s", v, expr)
			}
		}
	}
}

// proves T5
func TestAnExpressionThatCostsTooMuchRefuses(t *testing.T) {
	t.Parallel()
	const product = `req.query.n.all(a, req.query.n.all(b, req.query.n.all(c, a != "x" && b != "x" && c != "x")))`
	req := request()
	req.Query["n"] = make([]string, 200)
	_, err := proxy.Proxy(ok).With(cel.Allow(product))(t.Context(), req)
	assert.Equal(t, 403, proxy.StatusOf(err))
	assert.ErrorContains(t, err, "cost limit exceeded")

	req.Query["n"] = make([]string, 3)
	_, err = proxy.Proxy(ok).With(cel.Allow(product))(t.Context(), req)
	assert.NoError(t, err)
	_, err = proxy.Proxy(ok).With(cel.AllowWith(cel.Spec{Expr: product, MaxCost: 50}))(t.Context(), req)
	assert.Equal(t, 403, proxy.StatusOf(err))

	req.Query["n"] = make([]string, 60)
	_, err = proxy.Proxy(ok).With(cel.AllowWith(cel.Spec{Expr: product, MaxCost: -1}))(t.Context(), req)
	assert.NoError(t, err)
}

func TestADocumentOfTooManyMembersIsAnError(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"[" + strings.Repeat("0,", 100_000) + "0]", "{" + strings.Repeat(`"a":0,`, 100_000) + `"b":0}`} {
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Document: document.MustParse(`{"large":` + text + `,"small":1}`)}, nil
		})
		_, err := p.With(cel.Answer(`size(res.data.large) > 1`))(t.Context(), request())
		assert.ErrorContains(t, err, "has more than 100000")
		_, err = p.With(cel.Answer(`res.data.small == 1`))(t.Context(), request())
		assert.NoError(t, err, "what is not read does not matter")
	}
}

// A loop that asks for the same array again costs little each time, so it must take little, too.
// Not parallel: it counts allocations.
func TestAPartOfADocumentIsReadOnce(t *testing.T) {
	doc := document.MustParse(`{"deep":{"items":[` + strings.Repeat("0,", 50_000) + `0]}}`)
	p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: doc}, nil
	}).
		With(cel.Answer(`req.query.n.all(a, size(res.data.deep.items) > 1)`))
	req := request()
	req.Query["n"] = make([]string, 500)
	allocs := testing.AllocsPerRun(1, func() {
		_, err := p(t.Context(), req)
		assert.NoError(t, err)
	})
	assert.Less(t, allocs, 200_000.0)
}

// proves C6
func TestAnExpressionEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p := proxy.Proxy(ok).With(cel.AllowWith(cel.Spec{Expr: `now > timestamp("1999-01-01T00:00:00Z") && slow == 1 && req.query.n.all(a, req.query.n.all(b, a == b))`,
			MaxCost: -1, Vars: map[string]cel.Var{"slow": func(ctx context.Context, _ *proxy.Request, _ *proxy.Response) (any, error) {
				<-ctx.Done()
				return 1, nil
			}}}))
		req := request()
		req.Query["n"] = make([]string, 10_000)
		_, err := p(ctx, req)
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
		assert.ErrorIs(t, err, context.DeadlineExceeded)

		_, err = proxy.Proxy(ok).With(cel.Allow(`true`))(ctx, req)
		assert.ErrorIs(t, err, context.DeadlineExceeded, "before it begins")
	})
}

func TestThePlanShowsWhatAnExpressionReads(t *testing.T) {
	t.Parallel()
	v := map[string]cel.Var{"v": func(context.Context, *proxy.Request, *proxy.Response) (any, error) { return 1, nil }}
	tests := []struct {
		expr    string
		headers []string
		params  []string
		effects pipe.Effects
	}{
		{`req.method == "GET"`, nil, nil, 0},
		{`req.headers["x-a"] == [] && "x-b" in req.headers && has(req.headers.accept)`, []string{"Accept", "X-A", "X-B"}, nil, 0},
		{`size(req.headers) == 1 && req.headers.a == []`, []string{"*"}, nil, 0},
		{`req.headers[req.method] == []`, []string{"*"}, nil, 0},
		{`req.params.id == "1" && req.params["id"] == "1" && req.params.b == "" && has(req.params.c)`, nil, []string{"b", "id"}, 0},
		{`caller.id == "a"`, nil, nil, pipe.ReadsCaller},
		{`caller.known`, nil, nil, pipe.ReadsCaller},
		{`req.remote == "a"`, nil, nil, pipe.ReadsClient},
		{`v == 1`, nil, nil, pipe.Opaque},
		{`["x"].all(h, h in req.headers)`, []string{"*"}, nil, 0},
	}
	for _, tt := range tests {
		step := pipe.PlanOf(proxy.Proxy(ok).With(cel.AllowWith(cel.Spec{Expr: tt.expr, Vars: v})))
		require.NoError(t, step.Faults(), tt.expr)
		assert.Equal(t, tt.headers, step.Takes, tt.expr)
		assert.Equal(t, tt.params, step.Needs, tt.expr)
		assert.Equal(t, pipe.CallsOnce|pipe.PassesOn|pipe.Validates|tt.effects, step.Effects, tt.expr)
	}
	p := proxy.Proxy(ok).With(cel.Allow(`req.method == "GET"`), cel.AnswerWith(cel.Spec{Name: "ours", Expr: `res.complete`}))
	assert.Contains(t, pipe.PlanOf(p).String(), `cel (req.method == "GET")`)
	assert.Contains(t, pipe.PlanOf(p).String(), `cel ours (res.complete)`)
}

// proves H14
func TestARefusalSaysWhichExpressionItWasOnOneLine(t *testing.T) {
	t.Parallel()
	req := called()
	req.Header.Set("X-Tenant", "a\tb\u2028c")
	_, err := proxy.Proxy(ok).With(cel.Allow("caller.claims[\n req.headers['x-tenant'][0]] == 1"))(t.Context(), req)
	assert.EqualError(t, err, `cel: "caller.claims[\n req.headers['x-tenant'][0]] == 1": the caller may not do this: "no such key: a\tb\u2028c"`)

	_, err = proxy.Proxy(ok).With(cel.Allow(`"`+strings.Repeat("x", 1000)+`" == ""`))(t.Context(), req)
	assert.Less(t, len(err.Error()), 400)
}

// proves L21
func TestAClientLearnsNothingOfTheExpression(t *testing.T) {
	t.Parallel()
	var reported error
	h, err := endpoint.New(endpoint.Spec{Proxy: ok, Guards: []proxy.Decorator{cel.Allow(`caller.id == "secret"`)},
		Report: func(_ context.Context, err error) { reported = err }})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/", iotest.ErrReader(errors.New("nobody reads it"))))
	assert.Equal(t, 403, w.Code)
	assert.NotContains(t, w.Body.String(), "secret")
	assert.ErrorIs(t, reported, auth.ErrDenied)
	assert.True(t, endpoint.Refused(reported))
}

func TestExpressionsAreEvaluatedConcurrently(t *testing.T) {
	t.Parallel()
	p := proxy.Proxy(ok).With(cel.Allow(`caller.claims.account.id > 1 && req.headers["x-tenant"][0] == caller.claims.tenant`),
		cel.Answer(`res.data == {} && caller.claims.tags.exists(x, x.matches("^[ab]$"))`))
	shared := called().Caller
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				req := request()
				req.Caller = shared
				_, err := p(t.Context(), req)
				assert.NoError(t, err)
			}
		})
	}
	group.Wait()
}
