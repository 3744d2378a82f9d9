package cel_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/cel"
	"github.com/sluice-go/sluice/proxy"
)

// BenchmarkAllow is an expression. Its peer is the same in Go.
func BenchmarkAllow(b *testing.B) {
	req := called()
	b.Run("expression", func(b *testing.B) {
		p := proxy.Proxy(ok).With(cel.Allow(`"admin" in caller.roles && caller.claims.tenant == "acme"`))
		b.ReportAllocs()
		for b.Loop() {
			_, err := p(b.Context(), req)
			require.NoError(b, err)
		}
	})
	b.Run("Go", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tenant := claim(req)
			require.True(b, slices.Contains(req.Caller.Roles, "admin") && tenant == "acme")
			_, err := ok(b.Context(), req)
			require.NoError(b, err)
		}
	})
}

func claim(req *proxy.Request) string {
	var claims struct {
		Tenant string `json:"tenant"`
	}
	_ = req.Caller.Claims.Decode(&claims)
	return claims.Tenant
}
