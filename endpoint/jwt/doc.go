// Package jwt verifies JSON Web Tokens (RFC 7519), with the keys that their issuer publishes:
//
//	keys := &jwt.Keys{URL: issuer + "/jwks.json"} // a Runner; keys.Ready is the Func of a router.Check
//	tokens, err := jwt.New(jwt.Spec{
//		Keys: keys, Issuer: issuer, Audience: []string{"orders"}, Algorithms: []string{"ES256"},
//	})
//	create := endpoint.Spec{Guards: []proxy.Decorator{auth.Require(tokens)}}
//
// A [Tokens] is an auth.Authenticator. It takes the token from the field Authorization, as RFC 6750 says,
// or from a cookie that the [Spec] names, and never from the query.
//
// # What a token must be
//
// A token is a JWS in compact form (RFC 7515) of at most 8 KiB, in base64url without padding and without
// unused bits. Its alg must be one that the Spec lists. The key that its kid names must be for that alg, by
// its type and by its own alg, use and key_ops if it has them. A token without kid is verified only if the
// set has exactly one key that the Spec can use. RSA keys have at least 2048 bits, a signature of a PS
// algorithm has a salt as long as the hash, and an HMAC secret is at least as long as the hash. A token
// never brings its own key: jwk, jku, x5c and x5u in its header have no effect. A header with crit or b64
// is refused (RFC 8725).
//
// The claims are an object. No object in the header or in the claims may repeat a name. exp is required;
// nbf and iat, if present, must not be later than now. All three have a leeway of 10 s. iss and aud must be
// as the Spec says.
//
// A token that is bound to a key of the client is valid only with that key. A token bound to a certificate
// (RFC 8705) needs that certificate on the connection, verified. For a token bound to a DPoP proof see
// [DPoP]. A token that is bound in any other way is refused.
//
// # What is refused, and how
//
//	no token                                     auth.ErrNoCredentials, 401
//	a token that is not valid, or is revoked     auth.ErrInvalidCredentials, 401
//	two Authorization or DPoP lines, or cookies  400
//	a cookie from another origin                 auth.ErrOrigin, 403
//	no keys, or keys older than Keys.Keep;       auth.ErrUnavailable, 503
//	Revoked cannot tell; no room for a proof
//
// # Verified tokens are remembered
//
// A token that was verified is not verified again until it expires or its key leaves the set. What can
// change in the meantime is checked each time: Spec.Revoked, the certificate and the proof. The memory
// holds the SHA-256 of a token, not the token.
package jwt
