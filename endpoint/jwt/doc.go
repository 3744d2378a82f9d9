// Package jwt verifies JSON Web Tokens (RFC 7519), with the keys that their issuer publishes:
//
//	keys := &jwt.Keys{URL: issuer + "/jwks.json"} // a Runner; keys.Ready is the Func of a router.Check
//	tokens, err := jwt.New(jwt.Spec{
//		Keys: keys, Issuer: issuer, Audience: []string{"orders"}, Algorithms: []string{"ES256"},
//	})
//	create := endpoint.Spec{Guards: []proxy.Decorator{auth.Require(tokens)}}
//
// A [Tokens] is an auth.Authenticator. The token comes in the field Authorization as RFC 6750 says,
// or in a cookie that the [Spec] names, and never in a query.
//
// # What a token must be
//
// A token is a JWS in compact form (RFC 7515), 8 KiB long at most, in base64url without padding and
// without unused bits. Its alg is one that the Spec lists, and the key that its kid names is for that
// alg: by its type, and by its own alg, use and key_ops where it has them. A token without kid is
// verified only while the set has exactly one key that the Spec can use. RSA keys have 2048 bits or
// more, a signature of a PS algorithm has a salt as long as the hash, and an HMAC secret is as long
// as the hash or longer. A token never brings its own key: jwk, jku, x5c and x5u in its header
// decide nothing. A header with crit or b64 is refused (RFC 8725).
//
// Its claims are an object that, like the header, repeats no name. exp is required; nbf and iat must
// not be later than now, where they are there. For all three there is a leeway of 10 s. iss and aud
// are those of the Spec.
//
// A token that is bound to a key of the client is good only with that key. For one that is bound to a
// certificate (RFC 8705) that is the certificate of the connection, if it was verified; for one that
// is bound to a DPoP proof see [DPoP]. A token that is bound in any other way is refused.
//
// # What is refused, and how
//
//	no token                                     auth.ErrNoCredentials, 401
//	a token that is not good, or is revoked      auth.ErrInvalidCredentials, 401
//	two Authorization or DPoP lines, or cookies  400
//	a cookie from another origin                 auth.ErrOrigin, 403
//	no keys yet, or too old; no answer whether   auth.ErrUnavailable, 503
//	it is revoked; no place for another proof
//
// # Verified tokens are remembered
//
// A token that was verified is not verified again until it expires or its key leaves the set. What
// can change meanwhile is asked each time: Spec.Revoked, the certificate, and the proof. The memory
// holds the SHA-256 of a token and not the token.
package jwt
