package endpoint_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// step returns a decorator that does nothing but to show in the plan.
func step(kind string, effects pipe.Effects) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		return pipe.Describe(next, pipe.Step{Mark: mark.Ours(), Kind: kind, Source: kind + ".go:1", Effects: pipe.CallsOnce | pipe.PassesOn | effects}, next)
	}
}

func TestNewRefusesWhatGoesByACallerThatIsFoundInside(t *testing.T) {
	t.Parallel()
	require, allow, claims := step("require", pipe.Authenticates), step("allow", pipe.ReadsCaller), step("claims", pipe.ReadsCaller)
	rule := step("rule", pipe.ReadsCaller|pipe.Opaque)
	own := func(next proxy.Proxy) proxy.Proxy { // it may identify the caller
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) }
	}
	const allowFault = "endpoint: New: allow goes by who the caller is, which require inside finds out: put it inside of that (allow.go:1)"
	const claimsFault = "endpoint: New: claims goes by who the caller is, which require inside finds out: put it inside of that (claims.go:1)"
	tests := []struct {
		name   string
		guards []proxy.Decorator
		pipe   []proxy.Decorator
		want   string
	}{
		{name: "inside", guards: []proxy.Decorator{require, allow, claims}},
		{name: "inside, in the pipe", guards: []proxy.Decorator{require}, pipe: []proxy.Decorator{allow, claims}},
		{name: "outside", guards: []proxy.Decorator{allow, require}, want: allowFault},
		{name: "two outside", guards: []proxy.Decorator{allow, claims, require}, want: allowFault + "\n" + claimsFault},
		{name: "outside of one in the pipe", guards: []proxy.Decorator{claims}, pipe: []proxy.Decorator{require, allow}, want: claimsFault},
		{name: "between two", guards: []proxy.Decorator{require, allow, require}},
		{name: "nobody finds out", guards: []proxy.Decorator{claims}},
		{name: "a function outside may know", guards: []proxy.Decorator{own, allow, require}},
		{name: "by the address, outside", guards: []proxy.Decorator{step("limit", pipe.ReadsClient), require}},
		{name: "a function may look at something else", guards: []proxy.Decorator{rule, require}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := endpoint.New(endpoint.Spec{Guards: tt.guards, Proxy: jsonOf(`{}`).With(tt.pipe...)})
			if tt.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.EqualError(t, err, tt.want)
		})
	}
}

func TestAStepBesideTheOneThatFindsTheCallerIsNoFault(t *testing.T) {
	t.Parallel()
	parts := proxy.Merge(proxy.Grouped("a", jsonOf(`{}`).With(step("allow", pipe.ReadsCaller))),
		proxy.Grouped("b", jsonOf(`{}`).With(step("require", pipe.Authenticates))))
	_, err := endpoint.New(endpoint.Spec{Proxy: parts})
	assert.NoError(t, err)
}
