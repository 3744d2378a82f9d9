package examples_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/quic-go/quic-go/http3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An edge is the program edge, which runs until the test ends.
type edge struct {
	public, admin, issuer string
	out                   *output
}

func startEdge(t *testing.T, args ...string) edge {
	t.Helper()
	public, admin, issuer := freeAddr(t), freeAddr(t), freeAddr(t)
	out := start(t, "edge", append([]string{"-addr", public, "-admin", admin, "-issuer", issuer, "-rate", "1000", "-burst", "1000"}, args...)...)
	listening(t, public, out)
	listening(t, admin, out)
	e := edge{"http://" + public, "http://" + admin, "http://" + issuer, out}
	require.Eventually(t, func() bool { return do(t, "GET", e.public+"/readyz", "").status == 200 }, 10*time.Second, 5*time.Millisecond, out)
	return e
}

// token returns a token with these claims over those that every token has.
func (e edge) token(t *testing.T, claims string) string {
	t.Helper()
	a := do(t, "POST", e.issuer+"/token", claims)
	require.Equal(t, 200, a.status, a.body)
	return a.body
}

func (e edge) bearer(t *testing.T, claims string) string { return "Bearer " + e.token(t, claims) }

// echoed is what the upstream of the program has seen.
type echoed struct {
	Method, Path, Body string
	Query              map[string][]string
	Headers            http.Header
	Calls              int
}

func (a answer) echoed(t *testing.T) (e echoed) {
	t.Helper()
	require.Equal(t, 200, a.status, a.body)
	require.NoError(t, json.Unmarshal([]byte(a.body), &e), a.body)
	return e
}

func TestProgramEdgeRoutes(t *testing.T) {
	t.Parallel()
	e := startEdge(t, "-apikey", "shop=s3cret:reader,admin", "-apikey", "bot=other")
	ada := e.bearer(t, `{"sub":"ada","account":"a 1","roles":["x","y"],"scope":"orders:write","jti":"ada"}`)

	public := do(t, "GET", e.public+"/public?a=1&b=2&a=3", "", "Cookie", "c=1", "Authorization", ada, "X-Api-Key", "s3cret", "X-Other", "1").echoed(t)
	assert.Equal(t, "/public", public.Path)
	assert.Equal(t, map[string][]string{"a": {"1", "3"}, "b": {"2"}}, public.Query)
	assert.Equal(t, "c=1", public.Headers.Get("Cookie"))
	assert.Equal(t, "1", public.Headers.Get("X-Other"))
	assert.Empty(t, public.Headers.Get("Authorization")+public.Headers.Get("X-Api-Key"))

	me := do(t, "GET", e.public+"/me", "", "Authorization", ada, "X-User", "eve", "X_Roles", "root").echoed(t)
	assert.Equal(t, []string{"ada"}, me.Headers["X-User"])
	assert.Equal(t, []string{"x,y"}, me.Headers["X-Roles"])
	assert.Empty(t, me.Headers["X_roles"])
	assert.Empty(t, me.Headers["Authorization"])
	blanks := do(t, "GET", e.public+"/me", "", "Authorization", e.bearer(t, `{"sub":"ada","roles":"x y"}`)).echoed(t)
	assert.Equal(t, []string{"x,y"}, blanks.Headers["X-Roles"])
	key := do(t, "GET", e.public+"/me", "", "X-Api-Key", "s3cret").echoed(t)
	assert.Equal(t, []string{"shop"}, key.Headers["X-User"])
	assert.Equal(t, []string{"reader,admin"}, key.Headers["X-Roles"])

	assert.Equal(t, "/accounts/a%201/orders", do(t, "GET", e.public+"/orders", "", "Authorization", ada).echoed(t).Path)
	assert.Equal(t, 403, do(t, "GET", e.public+"/orders", "", "Authorization", e.bearer(t, `{"sub":"bob"}`)).status)
	assert.Equal(t, 403, do(t, "GET", e.public+"/admin/stats", "", "Authorization", ada).status)
	assert.Equal(t, 403, do(t, "GET", e.public+"/admin/stats", "", "X-Api-Key", "other").status)
	assert.Equal(t, "/admin/stats", do(t, "GET", e.public+"/admin/stats", "", "X-Api-Key", "s3cret").echoed(t).Path)

	for _, path := range []string{"/me", "/orders", "/admin/stats", "/ws", "/signed"} {
		none := do(t, "GET", e.public+path, "")
		assert.Equal(t, 401, none.status, path)
		assert.Contains(t, strings.Join(none.header.Values("WWW-Authenticate"), ", "), "Bearer", path)
		assert.NotContains(t, strings.Join(none.header.Values("WWW-Authenticate"), ", "), "error", path)
		bad := do(t, "GET", e.public+path, "", "Authorization", ada+"x", "X-Api-Key", "s3cret")
		assert.Equal(t, 401, bad.status, path)
		assert.Contains(t, bad.header.Get("WWW-Authenticate"), `error="invalid_token"`, path)
		assert.NotEmpty(t, bad.header.Get("X-Request-Id"))
	}
	assert.Equal(t, 401, do(t, "GET", e.public+"/me", "", "X-Api-Key", "wrong").status)
	assert.Equal(t, 200, do(t, "GET", e.public+"/healthz", "").status)

	assert.Equal(t, 204, do(t, "POST", e.admin+"/revoke?jti=ada", "").status)
	assert.Equal(t, 401, do(t, "GET", e.public+"/me", "", "Authorization", ada).status)
	assert.Equal(t, 400, do(t, "POST", e.admin+"/revoke", "").status)
	assert.Contains(t, do(t, "GET", e.admin+"/debug/plan", "").body, "idempotency")

	assert.Equal(t, 204, do(t, "POST", e.issuer+"/rotate", "").status)
	assert.Equal(t, 200, do(t, "GET", e.public+"/me", "", "Authorization", e.bearer(t, `{"sub":"ada"}`)).status)
}

func TestProgramEdgeOrders(t *testing.T) {
	t.Parallel()
	e := startEdge(t, "-apikey", "shop=s3cret")
	ada := e.bearer(t, `{"sub":"ada","scope":"orders:read orders:write"}`)
	order := func(token, key, body string) answer {
		return do(t, "POST", e.public+"/orders", body, "Authorization", token, "Idempotency-Key", key, "Content-Type", "application/json")
	}
	const good = `{"sku":"ABC-1","quantity":2,"amount":0.5,"note":"soon"}`
	first := order(ada, `"k1"`, good)
	assert.Equal(t, good, first.echoed(t).Body)
	again := order(ada, `"k1"`, good)
	assert.Equal(t, first.body, again.body)
	assert.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
	assert.Empty(t, first.header.Get("Idempotent-Replayed"))
	assert.Equal(t, 422, order(ada, `"k1"`, `{"sku":"ABC-1","quantity":3}`).status)
	assert.Equal(t, 400, order(ada, ``, good).status)
	assert.Equal(t, 400, order(ada, `k1`, good).status)
	assert.Equal(t, 200, order(e.bearer(t, `{"sub":"bob","scope":"orders:write"}`), `"k1"`, `{"sku":"ABC-1","quantity":3}`).status, "keys are the caller's")

	denied := order(e.bearer(t, `{"sub":"ada","scope":"orders:read"}`), `"k2"`, good)
	assert.Equal(t, 403, denied.status)
	assert.Contains(t, denied.header.Get("WWW-Authenticate"), `error="insufficient_scope"`)
	assert.Equal(t, 403, do(t, "POST", e.public+"/orders", good, "X-Api-Key", "s3cret", "Idempotency-Key", `"k"`, "Content-Type", "application/json").status)
	assert.Equal(t, 415, do(t, "POST", e.public+"/orders", good, "Authorization", ada, "Idempotency-Key", `"k3"`, "Content-Type", "text/plain").status)
	for i, bad := range []string{``, `{`, `[]`, `{"sku":"ABC-1"}`, `{"sku":"abc-1","quantity":1}`, `{"sku":"ABC-1","quantity":0}`,
		`{"sku":"ABC-1","quantity":101}`, `{"sku":"ABC-1","quantity":1.5}`, `{"sku":"ABC-1","quantity":1,"amount":0}`,
		`{"sku":"ABC-1","quantity":1,"amount":1000000,"amount":1}`, `{"sku":"ABC-1","quantity":1,"secret":"x"}`,
		`{"sku":"ABC-1","quantity":1,"note":"` + strings.Repeat("é", 501) + `"}`, `{"sku":"ABC-1","quantity":1e9999999}`} {
		a := order(ada, fmt.Sprintf(`"bad%d"`, i), bad)
		assert.Equal(t, 400, a.status, bad)
		assert.NotContains(t, a.body, "secret")
	}
	assert.Equal(t, 200, order(ada, `"k4"`, `{"sku":"ABC-1","quantity":1,"note":"`+strings.Repeat("é", 500)+`"}`).status)
}

func TestProgramEdgeAnswersByItself(t *testing.T) {
	t.Parallel()
	e := startEdge(t)
	doc := do(t, "GET", e.public+"/doc", "")
	assert.Equal(t, 200, doc.status)
	etag := doc.header.Get("ETag")
	require.True(t, strings.HasPrefix(etag, `W/"`), etag)
	same := do(t, "GET", e.public+"/doc", "", "If-None-Match", etag)
	assert.Equal(t, 304, same.status)
	assert.Empty(t, same.body)
	xml := do(t, "GET", e.public+"/doc", "", "Accept", "application/xml", "If-None-Match", etag)
	assert.Equal(t, 200, xml.status)
	assert.True(t, strings.HasPrefix(xml.header.Get("Content-Type"), "application/xml"))
	assert.NotEqual(t, etag, xml.header.Get("ETag"))
	assert.Equal(t, 406, do(t, "GET", e.public+"/doc", "", "Accept", "image/png").status)

	signed := do(t, "GET", e.public+"/signed", "", "Authorization", e.bearer(t, `{"sub":"ada"}`))
	require.Equal(t, 200, signed.status, signed.body)
	var got struct{ Receipt string }
	require.NoError(t, json.Unmarshal([]byte(signed.body), &got))
	parts := strings.Split(got.Receipt, ".")
	require.Len(t, parts, 3)
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	assert.JSONEq(t, `{"caller":"ada","paid":true}`, string(payload))
}

func TestProgramEdgeLimits(t *testing.T) {
	t.Parallel()
	e := startEdge(t, "-rate", "1", "-burst", "3")
	ada, bob := e.bearer(t, `{"sub":"ada","account":"1"}`), e.bearer(t, `{"sub":"bob"}`)
	for range 5 { // 401 takes no token
		assert.Equal(t, 401, do(t, "GET", e.public+"/me", "").status)
	}
	first := do(t, "GET", e.public+"/me", "", "Authorization", ada)
	assert.Equal(t, 200, first.status)
	assert.Contains(t, first.header.Get("RateLimit"), `"caller";r=2`)
	assert.Contains(t, first.header.Get("RateLimit-Policy"), `"caller";q=3`)
	assert.Equal(t, 200, do(t, "GET", e.public+"/orders", "", "Authorization", ada).status)
	assert.Equal(t, 200, do(t, "GET", e.public+"/me", "", "Authorization", e.bearer(t, `{"sub":"ada"}`)).status, "another token of the same caller")
	over := do(t, "GET", e.public+"/me", "", "Authorization", ada)
	assert.Equal(t, 429, over.status)
	assert.NotEmpty(t, over.header.Get("Retry-After"))
	assert.NotEmpty(t, over.header.Get("RateLimit"))
	assert.Equal(t, 200, do(t, "GET", e.public+"/me", "", "Authorization", bob).status)
	statuses := map[int]int{}
	for range 6 {
		statuses[do(t, "GET", e.public+"/public", "").status]++
	}
	assert.GreaterOrEqual(t, statuses[429], 1)
	assert.GreaterOrEqual(t, statuses[200], 3)
	assert.Equal(t, 200, do(t, "GET", e.public+"/healthz", "").status)
}

func TestProgramEdgeWebSocket(t *testing.T) {
	t.Parallel()
	e := startEdge(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	soon := e.token(t, fmt.Sprintf(`{"sub":"ada","exp":%d}`, time.Now().Add(2*time.Second).Unix()))
	conn, _, err := websocket.Dial(ctx, e.public+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + soon}}})
	require.NoError(t, err)
	require.NoError(t, conn.Write(ctx, websocket.MessageText, []byte("hello")))
	_, message, err := conn.Read(ctx)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(message))
	_, _, err = conn.Read(ctx) // until the token ends
	assert.Error(t, err)
	assert.NoError(t, ctx.Err())

	token := e.token(t, `{"sub":"ada"}`)
	u, err := url.Parse(e.public)
	require.NoError(t, err)
	for origin, status := range map[string]int{e.public: 101, "http://evil.example": 403, "": 403} {
		upgrade := "GET /ws HTTP/1.1\r\nHost: " + u.Host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: session=" + token + "\r\n"
		if origin != "" {
			upgrade += "Origin: " + origin + "\r\n"
		}
		conn, err := net.Dial("tcp", u.Host)
		require.NoError(t, err)
		_, err = fmt.Fprint(conn, upgrade+"\r\n")
		require.NoError(t, err)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		assert.Equal(t, status, res.StatusCode, origin)
		_ = conn.Close()
	}
}

func TestProgramEdgeSurroundings(t *testing.T) {
	t.Parallel()
	e := startEdge(t, "-hosts", "127.0.0.1,api.example.com", "-origins", "https://app.example.com", "-log", "json", "-trusted", "127.0.0.0/8",
		"-bots", "^EvilBot,crawler")
	const app = "https://app.example.com"
	preflight := do(t, "OPTIONS", e.public+"/no/such/path", "", "Origin", app, "Access-Control-Request-Method", "POST",
		"Access-Control-Request-Headers", "authorization,idempotency-key")
	assert.Equal(t, 204, preflight.status)
	assert.Equal(t, app, preflight.header.Get("Access-Control-Allow-Origin"))
	assert.Equal(t, "true", preflight.header.Get("Access-Control-Allow-Credentials"))
	for _, path := range []string{"/public", "/me", "/nowhere", "/doc"} {
		a := do(t, "GET", e.public+path, "", "Origin", app)
		assert.Equal(t, []string{app}, a.header.Values("Access-Control-Allow-Origin"), path)
		assert.Empty(t, do(t, "GET", e.public+path, "", "Origin", "https://evil.example").header.Values("Access-Control-Allow-Origin"), path)
	}
	req, err := http.NewRequest("GET", e.public+"/public", nil)
	require.NoError(t, err)
	req.Host = "evil.example"
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	_ = res.Body.Close()
	assert.Equal(t, 421, res.StatusCode)
	assert.Equal(t, 403, do(t, "GET", e.public+"/public", "", "User-Agent", "EvilBot/1").status)
	assert.Equal(t, 200, do(t, "GET", e.public+"/healthz", "", "User-Agent", "EvilBot/1").status)

	id := do(t, "GET", e.public+"/me?token=secret", "", "X-Forwarded-For", "203.0.113.7", "X-Request-Id", "id-1").header.Get("X-Request-Id")
	assert.Equal(t, "id-1", id)
	require.Eventually(t, func() bool { return strings.Contains(e.out.String(), `"id":"id-1"`) }, 5*time.Second, 5*time.Millisecond)
	for line := range strings.Lines(e.out.String()) {
		if !strings.Contains(line, "id-1") {
			continue
		}
		var entry struct {
			Method, Path, Client string
			Status               int
		}
		require.NoError(t, json.Unmarshal([]byte(line), &entry))
		assert.Equal(t, "/me", entry.Path)
		assert.Equal(t, 401, entry.Status)
		assert.Contains(t, entry.Client, "203.0.113.7")
		assert.NotContains(t, line, "secret")
	}
}

func TestProgramEdgeWithTroubledUpstreams(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/me":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/public":
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.WriteHeader(http.StatusTeapot)
		default:
			panic(http.ErrAbortHandler)
		}
	}))
	defer upstream.Close()
	defer close(release)
	e := startEdge(t, "-upstream", upstream.URL, "-timeout", "200ms")
	ada := e.bearer(t, `{"sub":"ada","account":"1"}`)
	assert.Equal(t, 504, do(t, "GET", e.public+"/me", "", "Authorization", ada).status)
	assert.Equal(t, 502, do(t, "GET", e.public+"/orders", "", "Authorization", ada).status)
	public := do(t, "GET", e.public+"/public", "", "Origin", "https://evil.example")
	assert.Equal(t, http.StatusTeapot, public.status)
	assert.Empty(t, public.header.Values("Access-Control-Allow-Origin"))
	nobody := startEdge(t, "-upstream", "http://127.0.0.1:1")
	assert.Equal(t, 502, do(t, "GET", nobody.public+"/public", "").status)
}

// certificate writes a self-signed certificate and its key to files, and returns what trusts it.
func certificate(t *testing.T, dir, name string) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool = x509.NewCertPool()
	pool.AddCert(cert)
	return certFile, keyFile, pool
}

func TestProgramEdgeByTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key, roots := certificate(t, dir, "server")
	clientCert, clientKey, _ := certificate(t, dir, "client")
	public, admin, issuer := freeAddr(t), freeAddr(t), freeAddr(t)
	out := start(t, "edge", "-addr", public, "-admin", admin, "-issuer", issuer, "-cert", cert, "-key", key, "-client-ca", clientCert, "-http3")
	listening(t, public, out)
	listening(t, issuer, out)
	e := edge{"https://" + public, "http://" + admin, "http://" + issuer, out}
	pair, err := tls.LoadX509KeyPair(clientCert, clientKey)
	require.NoError(t, err)
	clients := map[string]http.RoundTripper{
		"anybody":      &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true},
		"with its own": &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}, ForceAttemptHTTP2: true},
		"http3":        &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}
	get := func(client, path, token string) answer {
		req, err := http.NewRequest("GET", e.public+path, nil)
		require.NoError(t, err)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := (&http.Client{Transport: clients[client], Timeout: 10 * time.Second}).Do(req)
		require.NoError(t, err, client)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return answer{res.StatusCode, res.Header, string(b)}
	}
	require.Eventually(t, func() bool { return get("anybody", "/readyz", "").status == 200 }, 10*time.Second, 5*time.Millisecond)
	doc := get("anybody", "/doc", "")
	assert.Equal(t, 200, doc.status)
	assert.NotEmpty(t, doc.header.Get("Strict-Transport-Security"))
	assert.Contains(t, doc.header.Get("Alt-Svc"), "h3=")
	assert.Equal(t, 200, get("http3", "/doc", "").status)

	sum := sha256.Sum256(pair.Certificate[0])
	bound := e.token(t, fmt.Sprintf(`{"sub":"ada","cnf":{"x5t#S256":%q}}`, base64.RawURLEncoding.EncodeToString(sum[:])))
	assert.Equal(t, 401, get("anybody", "/me", bound).status)
	assert.Equal(t, 200, get("with its own", "/me", bound).status)
	assert.Equal(t, 200, get("anybody", "/me", e.token(t, `{"sub":"ada"}`)).status)
	for _, client := range clients {
		if c, ok := client.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
	_ = clients["http3"].(*http3.Transport).Close()
}

func TestProgramEdgeWithoutItsRedis(t *testing.T) {
	t.Parallel()
	e := startEdge(t, "-redis", freeAddr(t))
	ada := e.bearer(t, `{"sub":"ada"}`)
	assert.Equal(t, 503, do(t, "GET", e.public+"/me", "", "Authorization", ada).status)
	assert.Equal(t, 503, do(t, "GET", e.public+"/public", "").status)
	assert.Equal(t, 503, do(t, "POST", e.admin+"/revoke?jti=1", "").status)
	assert.Equal(t, 200, do(t, "GET", e.public+"/doc", "").status)
}

func TestProgramEdgeSharesARedis(t *testing.T) {
	t.Parallel()
	addr := theRedis(t)
	issued := startEdge(t) // whose tokens both of the others take
	args := []string{"-redis", addr, "-jwks", issued.issuer + "/jwks.json", "-rate", "1", "-burst", "4"}
	name := strings.TrimPrefix(issued.issuer, "http://")
	one, other := startEdge(t, append(args, "-issuer", name)...), startEdge(t, append(args, "-issuer", name)...)
	id := fmt.Sprint(time.Now().UnixNano())
	token := issued.bearer(t, fmt.Sprintf(`{"sub":%q,"jti":%q,"scope":"orders:write"}`, "sub-"+id, id))
	order := func(e edge) answer {
		return do(t, "POST", e.public+"/orders", `{"sku":"ABC-1","quantity":1}`, "Authorization", token,
			"Idempotency-Key", `"`+id+`"`, "Content-Type", "application/json")
	}
	first := order(one)
	require.Equal(t, 200, first.status, first.body)
	again := order(other)
	assert.Equal(t, first.body, again.body)
	assert.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
	statuses := map[int]int{}
	for range 4 {
		for _, e := range []edge{one, other} {
			statuses[do(t, "GET", e.public+"/me", "", "Authorization", token).status]++
		}
	}
	assert.Positive(t, statuses[429])
	assert.LessOrEqual(t, statuses[200], 4, "one bucket for both")
	assert.Equal(t, 204, do(t, "POST", one.admin+"/revoke?jti="+id, "").status)
	assert.Equal(t, 401, do(t, "GET", other.public+"/me", "", "Authorization", token).status)
}

func TestProgramEdgeTakesAnUpstreamThatEndsWithASlash(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.URL.Path) }))
	defer upstream.Close()
	e := startEdge(t, "-upstream", upstream.URL+"/")
	assert.Equal(t, "/public", do(t, "GET", e.public+"/public", "").body)
	assert.Equal(t, 200, do(t, "HEAD", e.public+"/healthz", "").status)
	unknown := do(t, "PROPFIND!", e.public+"/public", "", "X-Request-Id", "id-1")
	assert.Equal(t, 405, unknown.status)
	assert.Contains(t, unknown.body, `"requestId":"id-1"`)
}

func TestProgramEdgeNamesItsIssuerAsTheFlagDoes(t *testing.T) {
	t.Parallel()
	_, port, err := net.SplitHostPort(freeAddr(t))
	require.NoError(t, err)
	e := startEdge(t, "-issuer", "localhost:"+port)
	e.issuer = "http://localhost:" + port
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(e.token(t, `{"sub":"ada"}`), ".")[1])
	require.NoError(t, err)
	assert.Contains(t, string(payload), `"iss":"`+e.issuer+`"`)
	assert.Equal(t, 200, do(t, "GET", e.public+"/me", "", "Authorization", e.bearer(t, `{"sub":"ada"}`)).status)
	for _, iss := range []string{"http://127.0.0.1:" + port, e.issuer + "/"} {
		assert.Equal(t, 401, do(t, "GET", e.public+"/me", "", "Authorization", e.bearer(t, `{"sub":"ada","iss":"`+iss+`"}`)).status, iss)
	}
}

func TestProgramEdgeFinishesAnOrderWhoseClientHasLeft(t *testing.T) {
	t.Parallel()
	began, finished := make(chan struct{}), make(chan bool, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(began)
		select {
		case <-r.Context().Done():
			finished <- false
		case <-time.After(500 * time.Millisecond):
			finished <- true
		}
	}))
	t.Cleanup(func() { // after the program has ended
		assert.True(t, <-finished, "the order was cut")
		upstream.Close()
	})
	e := startEdge(t, "-upstream", upstream.URL)
	body := `{"sku":"ABC-1","quantity":1}`
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", e.public+"/orders", strings.NewReader(body))
	require.NoError(t, err)
	req.Header = http.Header{"Authorization": {e.bearer(t, `{"sub":"ada","scope":"orders:write"}`)}, "Idempotency-Key": {`"k"`},
		"Content-Type": {"application/json"}}
	go func() { <-began; leave() }()
	_, err = http.DefaultClient.Do(req)
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool { return strings.Contains(e.out.String(), "status=499") }, 10*time.Second, time.Millisecond, e.out)
}

func TestProgramEdgeNeverPrintsAKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"s3cret", "=s3cret", "shop=" + strings.Repeat("s3cret", 100)} {
		out, err := exec.Command(filepath.Join(bin, "edge"), "-apikey", key).CombinedOutput()
		assert.Error(t, err)
		assert.Contains(t, string(out), "-apikey")
		assert.NotContains(t, string(out), "s3cret")
	}
}
