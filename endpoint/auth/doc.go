// Package auth decides who may call an endpoint:
//
//	keys := auth.NewKeys(auth.APIKey{Name: "batch", Digest: digest, Roles: []string{"reader"}})
//	endpoint.Spec{Proxy: orders, Guards: []proxy.Decorator{
//		auth.Require(auth.APIKeys(keys)),                       // 401 without a good key
//		auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}), // what the upstream is told
//		auth.Allow(auth.Role("reader")),                        // 403 for anybody else
//	}}
//
// [Require] verifies the caller: the first [Authenticator] that finds a credential of its kind decides.
// [APIKeys] and [Certificates] are in this package. Tokens are in endpoint/jwt and passwords in
// endpoint/basic, which are modules of their own. [Optional] also admits requests without credentials, and
// [Public] says that a route is open on purpose. [Ask] leaves the decision to another service.
//
// [Allow] decides what a caller may do, and [Claims] passes what the credential says on to upstreams.
//
// All of them are decorators. They work in the Guards of an endpoint, which run before the request body is
// read, and in any pipe. What cannot be decided is denied, for example when a store is down, a rule panics
// or a judge is slow. A wiring mistake is a fault in the plan.
package auth
