package cel_test

import (
	"context"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request returns a request with something of everything.
func request() *proxy.Request {
	req := proxy.NewRequest("GET", "/orders/7")
	req.Host = "api.example.com"
	req.Header.Set("X-Tenant", "acme")
	req.Header["Accept"] = []string{"a/b", "c/d"}
	req.Query.Set("page", "2")
	req.Params.Set("id", "7")
	return req
}

// called returns the request of a caller.
func called() *proxy.Request {
	req := request()
	req.Caller = &proxy.Caller{Issuer: "iss", ID: "ada", Scheme: "jwt", Roles: []string{"admin", "editor"}, Scopes: []string{"orders:read"},
		Claims: document.MustParse(`{"tenant":"acme","level":3,"ratio":0.5,"account":{"id":9007199254740993},"tags":["a","b"],"gone":null,` +
			`"big":18446744073709551616,"twice":1,"twice":2,"unsigned":18446744073709551615}`)}
	return req
}

// ok is a proxy that answers with an empty object.
func ok(context.Context, *proxy.Request) (*proxy.Response, error) {
	return &proxy.Response{Header: http.Header{}, Document: document.MustParse(`{}`)}, nil
}
