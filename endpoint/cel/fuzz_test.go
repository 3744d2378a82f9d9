package cel_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint/cel"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A request passes exactly if it has the text, whatever else is in it.
func FuzzAllow(f *testing.F) {
	f.Add("X-Key", "secret", `{"a":1}`)
	f.Add("X_Key", "", `{"a":[1.5,-0,18446744073709551616,{"b":null}]}`)
	f.Add("", "\x00", `[]`)
	p := proxy.Proxy(ok).With(cel.Allow(`req.headers["x-key"] == ["secret"] && !(caller.claims.a in [caller.claims.b]) || caller.claims.a.b.c[0].d == req.query.x[0]`),
		cel.Allow(`req.headers["x-key"] == ["secret"]`))
	f.Fuzz(func(t *testing.T, name, value, claims string) {
		req := request()
		req.Header = http.Header{name: {value}}
		req.Query[name] = []string{value}
		doc, err := document.Parse([]byte(claims))
		if err == nil {
			req.Caller = &proxy.Caller{ID: value, Claims: doc}
		}
		res, err := p(t.Context(), req)
		if err == nil {
			assert.Equal(t, "secret", value)
			assert.NoError(t, res.Close())
			return
		}
		assert.Equal(t, 403, proxy.StatusOf(err))
	})
}

// An expression of any text is a fault, or a verdict within its cost.
func FuzzExpression(f *testing.F) {
	for _, expr := range []string{`true`, `req.headers.a == ["b"]`, `caller.claims.all(k, caller.claims[k] != 1)`, `"a".matches("(a+)+$")`, `[1].map(x, x)[0] == 1`} {
		f.Add(expr)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		p := proxy.Proxy(ok).With(cel.AllowWith(cel.Spec{Expr: expr, MaxCost: 1000}))
		faults := pipe.PlanOf(p).Faults()
		_, err := p(context.Background(), called())
		if faults != nil {
			assert.Error(t, err)
		} else if err != nil {
			assert.Equal(t, 403, proxy.StatusOf(err))
		}
	})
}
