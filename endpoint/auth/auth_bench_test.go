package auth_test

import (
	"crypto/subtle"
	"strconv"
	"testing"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// BenchmarkAPIKey looks up one of 1,000 keys; its peer compares all of them in constant time, as
// code without digests has to.
func BenchmarkAPIKey(b *testing.B) {
	var keys []auth.APIKey
	var texts []string
	for i := range 1000 {
		key, digest := auth.NewKey()
		keys, texts = append(keys, auth.APIKey{Name: "key" + strconv.Itoa(i), Digest: digest}), append(texts, key)
	}
	ctx, req := b.Context(), proxy.NewRequest("GET", "/")
	req.Header["X-Api-Key"] = []string{texts[500]}
	b.Run("Authenticate", func(b *testing.B) {
		a := auth.APIKeys(auth.NewKeys(keys...))
		b.ReportAllocs()
		for b.Loop() {
			if c, err := a.Authenticate(ctx, req); c == nil || err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Require", func(b *testing.B) {
		p := constant(&proxy.Response{}).With(auth.Require(auth.APIKeys(auth.NewKeys(keys...))))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p(ctx, req); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("each in constant time", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			found := -1
			for i, text := range texts {
				if subtle.ConstantTimeCompare([]byte(text), []byte(req.Header["X-Api-Key"][0])) == 1 {
					found = i
				}
			}
			if found != 500 {
				b.Fatal(found)
			}
		}
	})
}

func BenchmarkClaims(b *testing.B) {
	p := constant(&proxy.Response{}).With(auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}, auth.Claim{Path: "account.id", Param: "account"}))
	ctx, req := b.Context(), proxy.NewRequest("GET", "/")
	req.Caller = &proxy.Caller{ID: "ada", Claims: document.MustParse(`{"iss":"https://issuer","sub":"ada","aud":"orders","exp":1,"account":{"id":"7"}}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p(ctx, req); err != nil {
			b.Fatal(err)
		}
	}
}
