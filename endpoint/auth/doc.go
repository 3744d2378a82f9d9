// Package auth decides who may call an endpoint:
//
//	keys := auth.NewKeys(auth.APIKey{Name: "batch", Digest: digest, Roles: []string{"reader"}})
//	endpoint.Spec{Proxy: orders, Guards: []proxy.Decorator{
//		auth.Require(auth.APIKeys(keys)),                       // 401 without a good key
//		auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}), // what the upstream is told
//		auth.Allow(auth.Role("reader")),                        // 403 for anybody else
//	}}
//
// [Require] verifies who calls, by the first [Authenticator] that finds a credential of its kind:
// [APIKeys] and [Certificates] are here, tokens and passwords in packages endpoint/jwt and
// endpoint/basic, which are modules of their own. [Optional] lets nobody pass too, and [Public] says
// that a route is open on purpose. [Ask] leaves the verdict to another service.
//
// [Allow] decides what a caller may do, and [Claims] hands what the credential says to upstreams.
//
// All are decorators: for the Guards of an endpoint, which run before the request body is read, or for
// any pipe. What cannot be decided is denied: a store that is down, a rule that panics, a judge that is
// slow. What is wired wrongly is a fault in the plan.
package auth
