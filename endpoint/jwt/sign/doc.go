// Package sign signs members of answers, so that whoever receives one can prove later what was said:
//
//	keys := sign.NewKeys(sign.Key{ID: "2026-1", Algorithm: "ES256", Private: private})
//	orders = orders.With(sign.Members(sign.Spec{Keys: keys, Members: []string{"receipt"}}))
//	mux.Handle("GET /jwks.json", keys) // the public keys
//
// In place of the object that the upstream has sent, the answer has its JWS in compact form (RFC 7515):
//
//	{"id": 7, "receipt": {"total": 30}}
//	{"id": 7, "receipt": "eyJhbGciOiJFUzI1NiIsImtpZCI6IjIwMjYtMSIsInR5cCI6IkpXVCJ9.eyJ0b3RhbCI6MzB9.…"}
//
// Package jwt verifies such a JWS as a token, if it has the claims that a token needs.
package sign
