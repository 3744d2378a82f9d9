package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// What the upstream gets of a caller is verified, whatever the client has sent.
func Example() {
	keys := auth.NewKeys(auth.APIKey{Name: "batch", Digest: auth.DigestOf("a key of 128 random bits or more"), Roles: []string{"reader"}})
	upstream := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		fmt.Println("upstream:", req.Header["X-User"], req.Upstream["X-User"])
		return &proxy.Response{}, nil
	}
	handler, err := endpoint.New(endpoint.Spec{Proxy: upstream, Guards: []proxy.Decorator{
		auth.Require(auth.APIKeys(keys)),
		auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}),
		auth.Allow(auth.Role("reader")),
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, key := range []string{"", "a guess", "a key of 128 random bits or more"} {
		r := httptest.NewRequest("GET", "/orders", nil)
		r.Header.Set("X-User", "admin")
		if key != "" {
			r.Header.Set("X-Api-Key", key)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header()["Www-Authenticate"])
	}
	// Output:
	// 401 [ApiKey header="X-Api-Key"]
	// 401 [ApiKey header="X-Api-Key"]
	// upstream: [] [batch]
	// 200 []
}

// An Authenticator of your own reads a credential, and says who has it. Here a service in front has
// verified the callers, and only it can reach this process.
type behindMesh struct{}

func (behindMesh) Authenticate(_ context.Context, req *proxy.Request) (*proxy.Caller, error) {
	id := req.Header.Get("X-Mesh-Identity")
	switch {
	case id == "":
		return nil, nil // no credential of this kind
	case !strings.HasPrefix(id, "svc-"):
		return nil, fmt.Errorf("%w: this is no service", auth.ErrInvalidCredentials) // 401
	}
	return &proxy.Caller{ID: id, Scheme: "mesh"}, nil
}

func (behindMesh) Challenge(error) string { return "Mesh" }

func ExampleAuthenticator() {
	orders := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		fmt.Println("for", req.Caller.ID, req.Upstream)
		return &proxy.Response{}, nil
	}).With(auth.Require(behindMesh{}), auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}))

	for _, id := range []string{"", "shop", "svc-shop"} {
		req := proxy.NewRequest("GET", "/orders")
		if id != "" {
			req.Header.Set("X-Mesh-Identity", id)
		}
		if _, err := orders(context.Background(), req); err != nil {
			fmt.Println(proxy.StatusOf(err), err)
		}
	}
	// Output:
	// 401 auth: the request has no credentials
	// 401 auth: the credentials are not valid: this is no service
	// for svc-shop map[X-User:[svc-shop]]
}

func ExampleRequire() {
	keys := auth.APIKeys(auth.NewKeys(auth.APIKey{Name: "batch", Digest: auth.DigestOf("secret")}))
	orders := pipe.Describe(proxy.Proxy(answers), pipe.Step{Kind: "backend", Name: "orders", Effects: pipe.Terminal})
	fmt.Print(pipe.PlanOf(orders.With(auth.Require(keys, auth.Certificates(auth.CertificateURI)))))
	// Output:
	// → require, in order
	//   → api-key (X-Api-Key)
	//   → certificate (URI)
	//   ↔ backend orders
}

func ExampleOptional() {
	keys := auth.APIKeys(auth.NewKeys(auth.APIKey{Name: "batch", Digest: auth.DigestOf("secret")}))
	items := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		fmt.Printf("for %q\n", req.Caller.Key())
		return &proxy.Response{}, nil
	}).With(auth.Optional(keys))
	for _, key := range []string{"", "secret", "a guess"} {
		req := proxy.NewRequest("GET", "/items")
		if key != "" {
			req.Header.Set("X-Api-Key", key)
		}
		_, err := items(context.Background(), req)
		fmt.Println(proxy.StatusOf(err))
	}
	// Output:
	// for ""
	// 200
	// for "7:api-key0:batch"
	// 200
	// 401
}

func ExamplePublic() {
	items := pipe.Describe(proxy.Proxy(answers), pipe.Step{Kind: "backend", Name: "items", Effects: pipe.Terminal})
	fmt.Print(pipe.PlanOf(items.With(auth.Public("the catalogue is no secret"))))
	// Output:
	// · public (the catalogue is no secret)
	//   ↔ backend items
}

func ExampleClaims() {
	orders := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		fmt.Println(req.Upstream, req.Params.Get("account"))
		return &proxy.Response{}, nil
	}).With(auth.Claims(
		auth.Claim{Path: "sub", Header: "X-User"},
		auth.Claim{Path: "roles", Header: "X-Roles", List: true},
		auth.Claim{Path: "account.id", Param: "account"},
	))
	req := proxy.NewRequest("GET", "/orders")
	req.Caller = &proxy.Caller{ID: "ada", Claims: document.MustParse(`{"sub":"ada","roles":"reader writer","account":{"id":7}}`)}
	_, _ = orders(context.Background(), req)

	req.Caller = &proxy.Caller{ID: "bob", Claims: document.MustParse(`{"sub":"bob"}`)}
	_, err := orders(context.Background(), req)
	fmt.Println(proxy.StatusOf(err), err)
	// Output:
	// map[X-Roles:[reader,writer] X-User:[ada]] 7
	// 403 claims: the caller may not do this: claim account.id: the caller does not have it
}

func ExampleAllow() {
	// A rule of your own: the account of the path must be that of the caller.
	ownAccount := func(_ context.Context, req *proxy.Request) error {
		if req.Caller == nil || req.Params.Get("account") != req.Caller.ID {
			return auth.ErrDenied
		}
		return nil
	}
	orders := proxy.Proxy(answers).With(auth.Allow(auth.Scope("orders:write"), ownAccount))
	for _, account := range []string{"ada", "bob"} {
		req := proxy.NewRequest("POST", "/")
		req.Params.Set("account", account)
		req.Caller = &proxy.Caller{ID: "ada", Scopes: []string{"orders:write"}}
		_, err := orders(context.Background(), req)
		fmt.Println(account, proxy.StatusOf(err))
	}
	// Output:
	// ada 200
	// bob 403
}

func ExampleAsk() {
	judge := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		fmt.Println("judge:", req.Method, req.Upstream["X-Forwarded-Method"], req.Upstream["X-Forwarded-Uri"])
		if req.Header.Get("Authorization") == "" {
			return &proxy.Response{Status: http.StatusUnauthorized}, nil
		}
		return &proxy.Response{Header: http.Header{"X-User": {"ada"}}}, nil
	})
	orders := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		fmt.Println("upstream:", req.Upstream)
		return &proxy.Response{}, nil
	}).With(auth.Ask(judge, "X-User"))

	req := proxy.NewRequest("POST", "/orders")
	_, err := orders(context.Background(), req)
	fmt.Println(proxy.StatusOf(err))
	req.Header.Set("Authorization", "Bearer a")
	_, _ = orders(context.Background(), req)
	// Output:
	// judge: GET [POST] [/orders]
	// 401
	// judge: GET [POST] [/orders]
	// upstream: map[X-User:[ada]]
}

func ExampleNewRevoked() {
	revoked, err := auth.NewRevoked(auth.RevokedSpec{})
	if err != nil {
		fmt.Println(err)
		return
	}
	token := &proxy.Caller{ID: "ada", Claims: document.MustParse(`{"jti":"t-1"}`), Expires: time.Now().Add(time.Hour)}
	fmt.Println(revoked.Revoked(context.Background(), token))
	fmt.Println(revoked.Revoke("t-1", token.Expires))
	fmt.Println(revoked.Revoked(context.Background(), token))
	// Output:
	// <nil>
	// <nil>
	// revoked: the credentials are not valid: the credential was revoked
}
