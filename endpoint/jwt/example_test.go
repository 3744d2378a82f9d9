package jwt_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"time"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/endpoint/jwt/jwttest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func Example() {
	issuer, err := jwttest.NewIssuer("ES256") // stands for an identity provider
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(issuer)
	defer server.Close()

	keys := &jwt.Keys{URL: server.URL + "/jwks.json"}
	tokens, err := jwt.New(jwt.Spec{Keys: keys, Issuer: server.URL, Audience: []string{"orders"}, Algorithms: []string{"ES256"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := endpoint.New(endpoint.Spec{Guards: []proxy.Decorator{auth.Require(tokens)}, Proxy: greet})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- keys.Run(ctx) }() // in a process, adapter.Run does that
	defer func() {
		stop()
		<-ended
	}()

	for keys.Ready(ctx) != nil { // a router.Check tells a load balancer that
		runtime.Gosched()
	}
	token, err := issuer.Sign(map[string]any{"iss": server.URL, "aud": "orders", "sub": "ada", "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, token := range []string{token, token + "x", ""} {
		r := httptest.NewRequest("GET", "/", nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Printf("%d %q %q\n", w.Code, w.Header().Get("X-Hello"), w.Header().Get("WWW-Authenticate"))
	}
	// Output:
	// 200 "ada" ""
	// 401 "" "Bearer error=\"invalid_token\""
	// 401 "" "Bearer"
}

func greet(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
	return &proxy.Response{Header: http.Header{"X-Hello": {req.Caller.ID}}, Document: document.MustParse(`{}`)}, nil
}
