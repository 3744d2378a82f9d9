package jwt_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/proxy"
)

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return encode(string(s[:]))
}

// proves T9
func TestATokenBoundToACertificate(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "ES256")
	tokens := newTokens(t, spec(jwt.ParseKeys(issuer.KeySet()), "ES256"))
	mine, other := &x509.Certificate{Raw: []byte("mine")}, &x509.Certificate{Raw: []byte("other")}
	token := sign(t, issuer, good(claims{"cnf": claims{"x5t#S256": sum("mine")}}))
	for _, tt := range []struct {
		name   string
		tls    *tls.ConnectionState
		status int
	}{
		{"no TLS", nil, 401},
		{"no certificate", &tls.ConnectionState{}, 401},
		{"one that was not verified", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{mine}}, 401},
		{"an empty chain", &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{}}}, 401},
		{"another one", &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{other, mine}}}, 401},
		{"the right one", &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{mine, other}}}, 200},
		{"another one, once the token is known", &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{other}}}, 401},
	} {
		req := bearer(token)
		req.TLS = tt.tls
		_, err := tokens.Authenticate(t.Context(), req)
		assert.Equal(t, tt.status, proxy.StatusOf(err), tt.name)
	}
}

// A client has a key for proofs.
type client struct{ key *ecdsa.PrivateKey }

func newClient(t testing.TB) client {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return client{key}
}

func (c client) jwk(t testing.TB) string {
	text, err := (&jose.JSONWebKey{Key: c.key.Public()}).MarshalJSON()
	require.NoError(t, err)
	return string(text)
}

func (c client) thumbprint(t testing.TB) string {
	s, err := (&jose.JSONWebKey{Key: c.key.Public()}).Thumbprint(5) // SHA-256
	require.NoError(t, err)
	return encode(string(s))
}

func (c client) header(t testing.TB) string {
	return `{"typ":"dpop+jwt","alg":"ES256","jwk":` + c.jwk(t) + `}`
}

// claims returns those of a good proof for a GET of https://api.test/orders, changed.
func (c client) claims(token string, changes ...claims) claims {
	all := claims{"htm": "GET", "htu": "https://api.test/orders", "iat": time.Now().Unix(), "jti": rand.Text(), "ath": sum(token)}
	for _, change := range changes {
		maps.Copy(all, change)
	}
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

func (c client) proof(t testing.TB, token string, changes ...claims) string {
	return signed(t, c.key, c.header(t), jsonOf(t, c.claims(token, changes...)))
}

func withProof(token string, proofs ...string) *proxy.Request {
	req := bearer(token)
	req.Header["Authorization"] = []string{"DPoP " + token}
	req.Header["Dpop"] = proofs
	return req
}

// proves T9
func TestATokenBoundToAProof(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // so that now stands still
		issuer := newIssuer(t, "ES256")
		s := spec(jwt.ParseKeys(issuer.KeySet()), "ES256")
		s.DPoP, s.Cookie = &jwt.DPoP{}, "session"
		tokens := newTokens(t, s)
		ada, eve := newClient(t), newClient(t)
		token := sign(t, issuer, good(claims{"cnf": claims{"jkt": ada.thumbprint(t)}}))
		other := sign(t, issuer, good(claims{"cnf": claims{"jkt": ada.thumbprint(t)}, "jti": "2"}))
		free := sign(t, issuer, good())
		used := ada.proof(t, token)
		payload := jsonOf(t, ada.claims(token))
		now := time.Now().Unix()
		cookie := withProof(token, ada.proof(t, token))
		cookie.Header["Authorization"], cookie.Header["Cookie"] = nil, []string{"session=" + token}
		lower := withProof(token, ada.proof(t, token))
		lower.Header["Authorization"] = []string{"dpop " + token}
		port := withProof(token, ada.proof(t, token, claims{"htu": "HTTPS://API.test:443/orders?page=1#x"}))
		post := withProof(token, ada.proof(t, token))
		post.Method = "POST"
		elsewhere := withProof(token, ada.proof(t, token))
		elsewhere.Host = "evil.test"
		escaped := withProof(token, ada.proof(t, token, claims{"htu": "https://api.test/a%2Fb"}))
		escaped.Path = "/a%2Fb"
		unescaped := withProof(token, ada.proof(t, token, claims{"htu": "https://api.test/a/b"}))
		unescaped.Path = "/a%2Fb"
		root := withProof(token, ada.proof(t, token, claims{"htu": "https://api.test"}))
		root.Path = "/"
		asBearer := withProof(token, ada.proof(t, token))
		asBearer.Header["Authorization"] = []string{"Bearer " + token}
		changed := func(changes claims) *proxy.Request { return withProof(token, ada.proof(t, token, changes)) }
		headed := func(header string) *proxy.Request { return withProof(token, signed(t, ada.key, header, payload)) }
		for _, tt := range []struct {
			name   string
			req    *proxy.Request
			status int
		}{
			{"good", withProof(token, used), 200},
			{"once more", withProof(token, used), 401},
			{"another proof", withProof(token, ada.proof(t, token)), 200},
			{"the scheme in lower case", lower, 200},
			{"the URL in another form", port, 200},
			{"an escaped path", escaped, 200},
			{"no path", root, 200},
			{"no proof", withProof(token), 401},
			{"two proofs", withProof(token, ada.proof(t, token), ada.proof(t, token)), 400},
			{"as Bearer", asBearer, 401},
			{"in a cookie", cookie, 401},
			{"a token that is not bound", withProof(free, ada.proof(t, free)), 401},
			{"a token that is not bound, as Bearer", bearer(free), 200},
			{"of another key", withProof(token, eve.proof(t, token)), 401},
			{"for another token", withProof(token, ada.proof(t, other)), 401},
			{"for another method", post, 401},
			{"for another host", elsewhere, 401},
			{"for another path", changed(claims{"htu": "https://api.test/orders/"}), 401},
			{"for a path that is escaped differently", unescaped, 401},
			{"for another scheme", changed(claims{"htu": "http://api.test/orders"}), 401},
			{"for a URL with a user", changed(claims{"htu": "https://a@api.test/orders"}), 401},
			{"for a relative URL", changed(claims{"htu": "/orders"}), 401},
			{"for no URL", changed(claims{"htu": nil}), 401},
			{"for no method", changed(claims{"htm": nil}), 401},
			{"for no token", changed(claims{"ath": nil}), 401},
			{"without jti", changed(claims{"jti": nil}), 401},
			{"with an empty jti", changed(claims{"jti": ""}), 401},
			{"with a jti that is no string", changed(claims{"jti": 1}), 401},
			{"without iat", changed(claims{"iat": nil}), 401},
			{"just young enough", changed(claims{"iat": now - 70}), 200},
			{"too old", changed(claims{"iat": now - 71}), 401},
			{"just old enough", changed(claims{"iat": now + 10}), 200},
			{"from the future", changed(claims{"iat": now + 11}), 401},
			{"without typ", headed(`{"alg":"ES256","jwk":` + ada.jwk(t) + `}`), 401},
			{"of another typ", headed(`{"typ":"JWT","alg":"ES256","jwk":` + ada.jwk(t) + `}`), 401},
			{"without jwk", headed(`{"typ":"dpop+jwt","alg":"ES256"}`), 401},
			{"with a jwk that is a secret", headed(`{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"oct","k":"` + strings.Repeat("A", 64) + `"}}`), 401},
			{"with the private key", headed(`{"typ":"dpop+jwt","alg":"ES256","jwk":` + strings.Replace(ada.jwk(t), "{", `{"d":"AA",`, 1) + `}`), 401},
			{"with alg none", headed(`{"typ":"dpop+jwt","alg":"none","jwk":` + ada.jwk(t) + `}`), 401},
			{"with alg HS256", headed(`{"typ":"dpop+jwt","alg":"HS256","jwk":` + ada.jwk(t) + `}`), 401},
			{"with a repeated claim", withProof(token, signed(t, ada.key, ada.header(t), strings.Replace(payload, "{", `{"htm":"GET",`, 1))), 401},
			{"with claims that are no object", withProof(token, signed(t, ada.key, ada.header(t), `[]`)), 401},
			{"the token itself", withProof(token, token), 401},
			{"too long", withProof(token, strings.Repeat("a", 9000)), 401},
			{"an empty line", withProof(token, ""), 401},
		} {
			_, err := tokens.Authenticate(t.Context(), tt.req)
			assert.Equal(t, tt.status, proxy.StatusOf(err), "%s: %v", tt.name, err)
		}
		_, err := tokens.Authenticate(t.Context(), withProof(token))
		assert.ErrorIs(t, err, jwt.ErrProof)
		assert.ErrorIs(t, err, auth.ErrInvalidCredentials)

		s.DPoP = &jwt.DPoP{Required: true}
		only := newTokens(t, s)
		status, _ := ask(t.Context(), only, free)
		assert.Equal(t, 401, status, "it is not bound")
		_, err = only.Authenticate(t.Context(), withProof(token, ada.proof(t, token)))
		assert.NoError(t, err)
	})
}

// proves T5
func TestProofsAreRememberedWithinBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t, "ES256")
		s := spec(jwt.ParseKeys(issuer.KeySet()), "ES256")
		s.DPoP = &jwt.DPoP{MaxProofs: 20}
		tokens := newTokens(t, s)
		ada := newClient(t)
		as := func(sub string) string {
			return sign(t, issuer, good(claims{"sub": sub, "cnf": claims{"jkt": ada.thumbprint(t)}}))
		}
		use := func(token string) int {
			_, err := tokens.Authenticate(t.Context(), withProof(token, ada.proof(t, token)))
			return proxy.StatusOf(err)
		}
		for i := range 10 {
			token := as(fmt.Sprint(i))
			assert.Equal(t, []int{200, 200, 503}, []int{use(token), use(token), use(token)}, "a tenth for each")
		}
		assert.Equal(t, 503, use(as("other")), "there is no place left")
		<-time.After(3 * time.Minute)
		assert.Equal(t, 200, use(as("other")))

		token := as("0")
		proof := ada.proof(t, token, claims{"iat": time.Now().Add(10 * time.Second).Unix()})
		for at, want := range []int{200, 401, 401, 401, 401, 401, 401, 401, 401, 401} { // each 10 s, while it is fresh and after
			_, err := tokens.Authenticate(t.Context(), withProof(token, proof))
			assert.Equal(t, want, proxy.StatusOf(err), at)
			<-time.After(10 * time.Second)
		}
	})
}

func TestAProofIsForTheURLOfTheClient(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "ES256")
	s := spec(jwt.ParseKeys(issuer.KeySet()), "ES256")
	s.DPoP = &jwt.DPoP{}
	ada := newClient(t)
	token := sign(t, issuer, good(claims{"cnf": claims{"jkt": ada.thumbprint(t)}}))
	h, err := endpoint.New(endpoint.Spec{Proxy: proxy.Proxy(passes).With(auth.Require(newTokens(t, s)))})
	require.NoError(t, err)
	serve := func(htu string) int {
		r := httptest.NewRequest("GET", "http://api.test/a%2Fb/c?x=1", nil).WithContext(context.WithoutCancel(t.Context()))
		r.Header = http.Header{"Authorization": {"DPoP " + token}, "Dpop": {ada.proof(t, token, claims{"htu": htu})}}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == 401 {
			assert.Contains(t, w.Header().Get("Www-Authenticate"), `error="invalid_dpop_proof"`)
		}
		return w.Code
	}
	assert.Equal(t, 200, serve("http://api.test/a%2Fb/c"))
	assert.Equal(t, 401, serve("http://api.test/a/b/c"))
	assert.Equal(t, 401, serve("https://api.test/a%2Fb/c"))
}
