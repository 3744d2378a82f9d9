package peers

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/httprate"
	golangjwt "github.com/golang-jwt/jwt/v5"
	"github.com/rs/cors"
	"github.com/stretchr/testify/require"
	"github.com/unrolled/secure"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/endpoint/jwt/jwttest"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/router"
)

const (
	edgeIssuer = "https://id.example"
	edgeOrigin = "https://app.example.com"
)

// aKilobyte is a leaf that answers with a Document of 1 KB.
func aKilobyte() proxy.Proxy {
	doc := document.MustParse(fmt.Sprintf(`{"id":7,"text":%q}`, strings.Repeat("x", 1000)))
	return pipe.Describe(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: doc}, nil
	},
		pipe.Step{Kind: "leaf", Effects: pipe.Terminal | pipe.HonoursContext})
}

// sluiceEdge is the whole stack: a request id, the client, CORS, secure headers, a known token, its claims, and a limit
// for each caller.
func sluiceEdge(b testing.TB, issuer *jwttest.Issuer) http.Handler {
	tokens, err := jwt.New(jwt.Spec{Keys: jwt.ParseKeys(issuer.KeySet()), Issuer: edgeIssuer, Audience: []string{"orders"}, Algorithms: []string{"RS256"}})
	require.NoError(b, err)
	corsed, err := adapter.CORS(adapter.CORSSpec{Origins: []string{edgeOrigin}, Credentials: true})
	require.NoError(b, err)
	r := chi.NewRouter()
	r.Use(adapter.RequestID, router.Client(), corsed, router.Secure(router.SecureSpec{}))
	require.NoError(b, router.Mount(r, router.Route{Method: "GET", Pattern: "/items/{id}", Endpoint: endpoint.Spec{
		Guards: []proxy.Decorator{auth.Require(tokens), auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}), policy.LimitBy(policy.ByCaller, policy.PerSecond(1<<30))},
		Proxy:  aKilobyte(),
	}}))
	return r
}

// peerEdge is the same made of chi, rs/cors, unrolled/secure, httprate and golang-jwt, around an endpoint of sluice.
func peerEdge(b testing.TB, public *rsa.PublicKey) http.Handler {
	r := chi.NewRouter()
	r.Use(cors.New(cors.Options{AllowedOrigins: []string{edgeOrigin}, AllowCredentials: true}).Handler)
	r.Use(secure.New(secure.Options{STSSeconds: 31536000, FrameDeny: true, ContentTypeNosniff: true,
		ContentSecurityPolicy: "default-src 'none'", ReferrerPolicy: "no-referrer"}).Handler)
	r.Use(func(next http.Handler) http.Handler {
		parser := golangjwt.NewParser(golangjwt.WithValidMethods([]string{"RS256"}), golangjwt.WithIssuer(edgeIssuer), golangjwt.WithAudience("orders"),
			golangjwt.WithExpirationRequired())
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			claims := golangjwt.MapClaims{}
			if _, err := parser.ParseWithClaims(text, claims, func(*golangjwt.Token) (any, error) { return public, nil }); !ok || err != nil {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			sub, _ := claims.GetSubject()
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), subject{}, sub)))
		})
	})
	r.Use(httprate.LimitBy(1<<30, time.Second, func(r *http.Request) (string, error) {
		sub, _ := r.Context().Value(subject{}).(string)
		return sub, nil
	}))
	h, err := endpoint.New(endpoint.Spec{Proxy: aKilobyte()})
	require.NoError(b, err)
	r.Method("GET", "/items/{id}", h)
	return r
}

type subject struct{}

// A sink is a ResponseWriter that costs nothing.
type sink struct {
	header http.Header
	status int
	n      int
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
}
func (s *sink) Write(p []byte) (int, error) { s.n += len(p); return len(p), nil }
func (s *sink) Flush()                      {}

func (s *sink) SetReadDeadline(time.Time) error  { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

func edgeRequest(b testing.TB, issuer *jwttest.Issuer) *http.Request {
	token, err := issuer.Sign(map[string]any{"iss": edgeIssuer, "aud": "orders", "sub": "ada", "exp": time.Now().Add(time.Hour).Unix(), "scope": "orders:write"})
	require.NoError(b, err)
	r := httptest.NewRequest("GET", "/items/7", nil)
	for name, value := range map[string]string{"Authorization": "Bearer " + token, "Origin": edgeOrigin, "User-Agent": "bench", "Accept": "*/*"} {
		r.Header.Set(name, value)
	}
	return r
}

// BenchmarkEdge is a request of a known caller for a Document of 1 KB, through all that stands around it.
func BenchmarkEdge(b *testing.B) {
	issuer, err := jwttest.NewIssuer("RS256")
	require.NoError(b, err)
	for name, h := range map[string]http.Handler{
		"sluice": sluiceEdge(b, issuer),
		"chi, cors, secure, httprate and golang-jwt": peerEdge(b, issuer.Signer().Public().(*rsa.PublicKey)),
	} {
		b.Run(name, func(b *testing.B) {
			r := edgeRequest(b, issuer)
			b.ReportAllocs()
			for b.Loop() {
				w := &sink{header: http.Header{}}
				h.ServeHTTP(w, r)
				if w.status != http.StatusOK {
					b.Fatal(w.status)
				}
			}
		})
	}
}

// TestTheEdgeAllocatesLittle is the figure of the whole stack.
func TestTheEdgeAllocatesFortyFiveTimesAtMost(t *testing.T) {
	issuer, err := jwttest.NewIssuer("RS256")
	require.NoError(t, err)
	h, r := sluiceEdge(t, issuer), edgeRequest(t, issuer)
	n := testing.AllocsPerRun(200, func() { h.ServeHTTP(&sink{header: http.Header{}}, r) })
	require.LessOrEqual(t, n, 45.0)
}
