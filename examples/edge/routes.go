package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/cel"
	"github.com/sluice-go/sluice/endpoint/check"
	"github.com/sluice-go/sluice/endpoint/idempotency"
	"github.com/sluice-go/sluice/endpoint/jsonschema"
	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/endpoint/jwt/sign"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/router"
)

// orderSchema is what an order may be.
const orderSchema = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"properties": {
		"sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{1,6}$"},
		"quantity": {"type": "integer", "minimum": 1, "maximum": 100},
		"amount": {"type": "number", "exclusiveMinimum": 0, "maximum": 1000},
		"note": {"type": "string", "maxLength": 500}
	},
	"required": ["sku", "quantity"],
	"additionalProperties": false
}`

// newRoutes returns the routes of the API.
func newRoutes(o options, upstream string, issuer *issuer, keys *jwt.Keys, stores *stores) ([]router.Route, error) {
	spec := jwt.Spec{Keys: keys, Issuer: issuer.name, Audience: []string{audience}, Algorithms: []string{"ES256", "RS256", "PS256"},
		Revoked: stores.revoked}
	tokens, err := jwt.New(spec)
	spec.Cookie = "session"
	cookies, err2 := jwt.New(spec)
	schema, err3 := jsonschema.New(jsonschema.Spec{Text: orderSchema})
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, err
	}
	apiKeys := auth.APIKeys(auth.NewKeys(o.apiKeys...))

	// One limit for all routes with a caller, and one for all without.
	rate := policy.Rate{Events: o.rate, Burst: o.burst}
	perCaller := policy.LimitByWith(policy.LimitBySpec{Name: "caller", Key: policy.ByCaller, Rate: rate, Buckets: stores.buckets})
	perClient := policy.LimitByWith(policy.LimitBySpec{Name: "client", Key: policy.ByClient, Rate: rate, Buckets: stores.buckets})

	// who tells upstreams who calls. Both headers are gone from what the client has sent.
	who := auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}, auth.Claim{Path: "roles", Header: "X-Roles", List: true})
	account := auth.Claims(auth.Claim{Path: "account", Param: "account"})
	callers := func(more ...proxy.Decorator) []proxy.Decorator {
		return append([]proxy.Decorator{auth.Require(tokens, apiKeys), who, perCaller}, more...)
	}

	get := func(name, path string) proxy.Proxy {
		return pipe.Check(backend.New(backend.Spec{Name: name, Method: "GET", URL: upstream + path, Query: []string{"*"}}))
	}
	create := pipe.Check(backend.New(backend.Spec{Name: "create", Method: "POST", URL: upstream + "/orders"}))
	through := func(name, path string, headers ...string) proxy.Proxy {
		return pipe.Check(backend.New(backend.Spec{Name: name, URL: upstream + path, Headers: headers, Query: []string{"*"},
			Decode: backend.Passthrough}))
	}

	routes := []router.Route{
		{Method: "GET", Pattern: "/public", Endpoint: endpoint.Spec{Name: "public", Stream: true,
			Guards: []proxy.Decorator{auth.Public("anybody may read"), perClient},
			Proxy:  through("public", "/public", "*", "-Authorization", "-X-Api-Key", "-Dpop")}},
		{Method: "GET", Pattern: "/me", Endpoint: endpoint.Spec{Name: "me", Guards: callers(), Proxy: get("me", "/me")}},
		{Method: "GET", Pattern: "/orders", Endpoint: endpoint.Spec{Name: "orders", Guards: callers(account),
			Proxy: get("orders", "/accounts/{account}/orders")}},
		{Method: "POST", Pattern: "/orders", Endpoint: endpoint.Spec{Name: "create", Guards: callers(auth.Allow(auth.Scope("orders:write"))),
			Proxy: create.With(check.ContentType("application/json"), jsonschema.Body(schema), idempotency.Require(stores.answers))}},
		{Method: "GET", Pattern: "/admin/stats", Endpoint: endpoint.Spec{Name: "stats", Guards: callers(cel.Allow(`"admin" in caller.roles`)),
			Proxy: get("stats", "/admin/stats")}},
		{Method: "GET", Pattern: "/ws", Endpoint: endpoint.Spec{Name: "ws", Stream: true,
			Guards: []proxy.Decorator{auth.Require(cookies, apiKeys), who, perCaller, auth.EndWithToken},
			Proxy: through("ws", "/ws", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Protocol",
				"Sec-Websocket-Extensions", "Origin")}},
		{Method: "GET", Pattern: "/doc", Endpoint: endpoint.Spec{Name: "doc", ETag: true, CacheControl: "public, max-age=60",
			Encode: []endpoint.Encoder{endpoint.JSON, endpoint.XMLRoot("doc")},
			Guards: []proxy.Decorator{auth.Public("the documentation")}, Proxy: local("doc", doc)}},
		{Method: "GET", Pattern: "/signed", Endpoint: endpoint.Spec{Name: "signed",
			Guards: []proxy.Decorator{auth.Require(tokens), who, perCaller},
			Proxy:  local("receipt", receipt).With(sign.Members(sign.Spec{Keys: issuer.signing, Members: []string{"receipt"}}))}},
	}
	for i := range routes {
		routes[i].Endpoint.Timeout = o.timeout
	}
	return routes, nil
}

// local returns a leaf that answers without an upstream.
func local(name string, answer func(req *proxy.Request) (document.Document, error)) proxy.Proxy {
	call := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		doc, err := answer(req)
		if err != nil {
			return nil, &proxy.Error{Status: http.StatusInternalServerError, Op: name, Err: err}
		}
		return &proxy.Response{Document: doc}, nil
	}
	return pipe.Describe(call, pipe.Step{Kind: "local", Name: name, Effects: pipe.Terminal | pipe.HonoursContext | pipe.Idempotent})
}

var theDoc = document.MustParse(`{"title":"Orders","version":1,"routes":["/public","/me","/orders","/admin/stats","/ws","/doc","/signed"]}`)

func doc(*proxy.Request) (document.Document, error) { return theDoc, nil }

// receipt returns what a caller may show to others.
func receipt(req *proxy.Request) (document.Document, error) {
	return document.Of(map[string]any{"caller": req.Caller.ID, "receipt": map[string]any{"caller": req.Caller.ID, "paid": true}})
}
