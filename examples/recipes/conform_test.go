package recipes_test

import (
	"context"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// recipe: conform
func tenant(next proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		name, _, _ := strings.Cut(req.Host, ".")
		req.Upstream.Set("X-Tenant", name) // only code sets Upstream, so no client can forge it
		return next(ctx, req)
	}
}

func TestTenantKeepsTheLaws(t *testing.T) {
	proxytest.Conform(t, tenant)
}

func TestTenantTellsTheUpstream(t *testing.T) {
	up := proxytest.NewUpstream(proxytest.Answer(200, `{"id":7}`))
	req := proxy.NewRequest("GET", "/users/7")
	req.Host = "acme.example.com"
	res, err := up.Proxy().With(tenant)(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Close()
	up.Only(t).AssertHeader(t, "X-Tenant", "acme")
}

// end
