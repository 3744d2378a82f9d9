package jwt_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/proxy/document"
)

// public are the members of a JWK that are not private.
var public = document.MustPaths("kty", "crv", "x", "y", "n", "e", "k", "kid", "use", "alg")

// The examples of RFC 7520, RFC 8037 and RFC 7797.
func TestTheJOSECookbook(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/jose-cookbook/*.json")
	require.NoError(t, err)
	require.Len(t, files, 11)
	verified := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var example struct {
			Input struct {
				Payload string
				Key     json.RawMessage
			}
			Output map[string]json.RawMessage
		}
		require.NoError(t, json.Unmarshal(text, &example))
		keys, err := document.Parse(example.Input.Key)
		require.NoError(t, err)
		if keys.Kind() == document.Array { // that of several signatures
			keys = keys.Get(document.MustPath("0"))
		}
		set := jwt.ParseKeys([]byte(`{"keys":[` + keys.Keep(public).String() + `]}`))
		require.NoError(t, set.Fault(), file)
		for form, output := range example.Output {
			token := string(output)
			if form == "compact" {
				require.NoError(t, json.Unmarshal(output, &token))
			}
			payload, err := jwt.Payload(set, all, token)
			if err == nil {
				verified[filepath.Base(file)] = true
				assert.Equal(t, "compact", form, file)
				assert.Equal(t, example.Input.Payload, string(payload), file)
			}
		}
	}
	assert.Equal(t, map[string]bool{
		"4_1.rsa_v15_signature.json":              true,
		"4_2.rsa-pss_signature.json":              true,
		"4_3.ecdsa_signature.json":                true,
		"4_4.hmac-sha2_integrity_protection.json": true,
		"jws.json": true, // of curve25519
	}, verified, "the others are detached, in JSON, or without base64url")
}
