package field_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/field"
)

// proves H5
func TestTwinsDifferOnlyInCaseAndPunctuation(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"X-User", "x-user", "X_User", "X.User", "X~User", "x!uSER", "X User", "X\x00User", "X\xffUser"} {
		assert.Equal(t, "X-User", field.Twin(name), "%q", name)
		assert.True(t, field.AreTwins(name, "X-User"), "%q", name)
		assert.True(t, field.AreTwins("x.user", name), "%q", name)
	}
	for _, name := range []string{"XUser", "X--User", "X-Users", "-X-User", "X-User-", "Y-User", "X-Ufer", ""} {
		assert.NotEqual(t, "X-User", field.Twin(name), "%q", name)
		assert.False(t, field.AreTwins(name, "X-User"), "%q", name)
	}
	assert.Equal(t, "1-2", field.Twin("1_2"))
}

// proves H5
func TestDeleteDeletesAllTwins(t *testing.T) {
	t.Parallel()
	h := http.Header{"X-User": {"1"}, "x-user": {"1"}, "X_user": {"1"}, "X-Users": {"1"}}
	field.Delete(h, "X.User")
	assert.Equal(t, http.Header{"X-Users": {"1"}}, h)
	field.Delete(nil, "X-User")
}

func TestParseReturnsTheNameAndItsTwin(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, key, twin string
		ok              bool
	}{
		{"X-User", "X-User", "X-User", true},
		{"x-user", "X-User", "X-User", true},
		{"x_user", "X_user", "X-User", true},
		{"X_User-Id", "X_user-Id", "X-User-Id", true},
		{"TE", "Te", "Te", true},
		{"1x", "1x", "1x", true},
		{"--", "--", "--", true},
		{"~", "~", "-", true},
		{"", "", "", false},
		{"X User", "X User", "X-User", false},
		{"X:User", "X:User", "X-User", false},
		{"é", "é", "--", false},
	}
	for _, tt := range tests {
		key, twin, ok := field.Parse(tt.name)
		assert.Equal(t, [...]any{tt.key, tt.twin, tt.ok}, [...]any{key, twin, ok}, "%q", tt.name)
	}
}

func TestATokenIsThatOfRFC9110(t *testing.T) {
	t.Parallel()
	const tokens = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for c := range 256 {
		want := strings.IndexByte(tokens, byte(c)) >= 0
		assert.Equal(t, want, field.IsTokenByte(byte(c)), "%#x", c)
		assert.Equal(t, want, field.IsToken("a"+string([]byte{byte(c)})+"b"), "%#x", c)
	}
	assert.False(t, field.IsToken(""))
}

func TestTokensFoldOnlyASCIICase(t *testing.T) {
	t.Parallel()
	assert.True(t, field.EqualToken("WebSocket", "websocket"))
	for _, other := range []string{"webſocket", "web\u212aocket", "websocket ", "websocke", "web{ocket", ""} {
		assert.False(t, field.EqualToken("websocket", other), other)
	}
	assert.False(t, field.EqualToken("a", "\x01"), "a letter and what is 0x20 away of one")
	assert.False(t, field.EqualToken("@", "`"))

	assert.True(t, field.HasToken([]string{"", "gzip;q=1", ",\tTrailers ,"}, "trailers"))
	assert.False(t, field.HasToken([]string{"trailers;q=0", "x-trailers", "trailer\u017f"}, "trailers"))
	assert.False(t, field.HasToken(nil, "trailers"))
}

// proves H2
func TestHopByHopTakesCanonicalNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE",
		"Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Alt-Svc"} {
		assert.True(t, field.HopByHop(http.CanonicalHeaderKey(name)), name)
	}
	for _, name := range []string{"Content-Length", "Host", "Via", "TE", "Accept", ""} {
		assert.False(t, field.HopByHop(name), name)
	}
}

func TestACanonicalNameCostsNoAllocation(t *testing.T) {
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for _, name := range [...]string{"X-Request-Id", "Accept", "Sec-Fetch-Mode", "1x"} {
			if key, twin, ok := field.Parse(name); !ok || key != name || twin != name || field.Twin(name) != name {
				panic(name)
			}
		}
	}))
}

func FuzzNames(f *testing.F) {
	for _, name := range []string{"Te", "te", "TE", "X-A", "x-a", "X--A", "-A", "A-", "ETag", "X1a", "1x", "X_a", "x_A", "X.A", "X A", "", "é", "a\x00"} {
		f.Add(name, "X-A")
	}
	f.Add("X_User", "x.user")
	fold := func(name string) string {
		return strings.Map(func(r rune) rune {
			switch {
			case 'A' <= r && r <= 'Z':
				return r + 'a' - 'A'
			case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
				return r
			}
			return '-'
		}, string([]rune(latin1(name))))
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		key, twin, ok := field.Parse(a)
		assert.Equal(t, http.CanonicalHeaderKey(a), key)
		assert.Equal(t, ok, field.IsToken(a))
		assert.Equal(t, http.CanonicalHeaderKey(fold(a)), twin)
		assert.Equal(t, twin, field.Twin(a))
		assert.Equal(t, twin, field.Twin(twin))
		assert.Equal(t, fold(a) == fold(b), field.AreTwins(a, b))
		assert.Equal(t, fold(a) == fold(b), field.Twin(a) == field.Twin(b))
		l := field.Connection(http.Header{"Connection": {a}, b: {"1"}})
		if !strings.ContainsAny(a, ", \t\r\n") && a != "" && field.AreTwins(a, b) && !field.HopByHop(twin) && twin != "Close" {
			assert.True(t, l.Has(b))
		}
	})
}

// latin1 makes a rune of each byte.
func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
