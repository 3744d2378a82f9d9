package basic_test

import (
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-go/sluice/endpoint/basic"
)

// BenchmarkPasswords checks a password; its peer is bcrypt alone.
func BenchmarkPasswords(b *testing.B) {
	const cost = bcrypt.DefaultCost
	hash, req := hashOf(b, "pw", cost), sending("ada", "pw")
	users := []basic.User{{Name: "ada", Hash: hash}}
	for name, s := range map[string]basic.Spec{"hashed": {Users: users}, "remembered": {Users: users, Remember: time.Hour}} {
		p := newPasswords(b, s)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Authenticate(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("bcrypt", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte("pw")); err != nil {
				b.Fatal(err)
			}
		}
	})
}
