package peers

import (
	"crypto"
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	golangjwt "github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/endpoint/jwt/jwttest"
	"github.com/sluice-go/sluice/proxy"
)

// A signedToken is a token, with the key that verifies it, for all peers.
type signedToken struct {
	text   string
	public crypto.PublicKey
	keys   *jwt.Keys
}

// newSignedToken returns a token with the claims of many an issuer: 800 to 1,000 bytes with RS256.
func newSignedToken(b *testing.B, algorithm string) signedToken {
	issuer, err := jwttest.NewIssuer(algorithm)
	require.NoError(b, err)
	now := time.Now()
	text, err := issuer.Sign(map[string]any{
		"iss": "https://id.example", "sub": "5be86359-073c-434b-ad2d-a3932222dabe", "aud": []string{"orders", "stock"},
		"exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "nbf": now.Unix(), "jti": "f8a1c1a0-9a0e-4f9e-8a3e-0d2f1f0f6b53",
		"azp": "web", "scope": "orders:read orders:write profile email", "roles": []string{"clerk", "auditor"},
		"email": "ada@example.com", "email_verified": true, "name": "Ada Lovelace", "account": map[string]any{"id": "a-4711", "plan": "pro"},
	})
	require.NoError(b, err)
	return signedToken{text: text, public: issuer.Signer().Public(), keys: jwt.ParseKeys(issuer.KeySet())}
}

func (s signedToken) tokens(b *testing.B, algorithm string, remember int) *jwt.Tokens {
	tokens, err := jwt.New(jwt.Spec{Keys: s.keys, Issuer: "https://id.example", Audience: []string{"orders"},
		Algorithms: []string{algorithm}, Remember: remember})
	require.NoError(b, err)
	return tokens
}

// BenchmarkToken measures what a token costs: one that is known, one that is not, and the peers for
// both, which verify the signature and decode the claims.
func BenchmarkToken(b *testing.B) {
	for _, algorithm := range []string{"RS256", "ES256", "PS256"} {
		token := newSignedToken(b, algorithm)
		req := proxy.NewRequest("GET", "/orders")
		req.Header["Authorization"] = []string{"Bearer " + token.text}
		for _, bb := range []struct {
			name     string
			remember int
		}{{"known", 0}, {"unknown", -1}} {
			tokens := token.tokens(b, algorithm, bb.remember)
			b.Run(algorithm+"/sluice, "+bb.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := tokens.Authenticate(b.Context(), req); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(algorithm+"/go-jose", func(b *testing.B) {
			algorithms := []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)}
			b.ReportAllocs()
			for b.Loop() {
				parsed, err := jose.ParseSignedCompact(token.text, algorithms)
				if err != nil {
					b.Fatal(err)
				}
				payload, err := parsed.Verify(token.public)
				if err != nil {
					b.Fatal(err)
				}
				var claims map[string]any
				if err := json.Unmarshal(payload, &claims); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(algorithm+"/golang-jwt", func(b *testing.B) {
			parser := golangjwt.NewParser(golangjwt.WithValidMethods([]string{algorithm}), golangjwt.WithIssuer("https://id.example"),
				golangjwt.WithAudience("orders"), golangjwt.WithExpirationRequired())
			key := func(*golangjwt.Token) (any, error) { return token.public, nil }
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parser.Parse(token.text, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
