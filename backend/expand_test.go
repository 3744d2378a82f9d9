package backend_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/proxy"
)

func filled(id string, rest ...string) *proxy.Request {
	req := proxy.NewRequest("GET", "/")
	req.Params.Set("id", id)
	req.Params.SetRest(rest...)
	return req
}

// proves U2, U3, U6
func TestATemplateIsAURLOrAName(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want string
		params           []string
		shown            string
	}{
		{"a URL", "ftp://h:21/a/{id}/{*}?v={id}&w=1", "ftp://h:21/a/4%2F2/x//y%2Fz/?v=4%2F2&w=1", []string{"id", "*"}, "ftp://h:21/a/{id}/{*}?v={id}&w=…"},
		{"no path", "redis://h", "redis://h/", nil, "redis://h/"},
		{"escapes of a URL", "s3://b/a%2Fb/{id}", "s3://b/a%2Fb/4%2F2", []string{"id"}, "s3://b/a%2Fb/{id}"},
		{"an address of IPv6", "amqp://[::1]:5672/{id}", "amqp://[::1]:5672/4%2F2", []string{"id"}, "amqp://[::1]:5672/{id}"},
		{"a subject", "orders.{id}.placed", "orders.4%2F2.placed", []string{"id"}, "orders.{id}.placed"},
		{"a topic", "devices/{id}/{*}", "devices/4%2F2/x//y%2Fz/", []string{"id", "*"}, "devices/{id}/{*}"},
		{"from the root", "/a/{id}", "/a/4%2F2", []string{"id"}, "/a/{id}"},
		{"a key", "user:{id}:{id}", "user:4%2F2:4%2F2", []string{"id"}, "user:{id}:{id}"},
		{"the rest alone", "{*}", "x//y%2Fz/", []string{"*"}, "{*}"},
		{"literals of a name are themselves", "a b%2F#?&=é..", "a b%2F#?&=é..", nil, "a b%2F#?&=é.."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			template, err := backend.ParseTemplate(tt.text)
			require.NoError(t, err)
			got, err := template.Expand(filled("4/2", "x", "", "y/z", ""))
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
			assert.Equal(t, tt.params, template.Params())
			assert.Equal(t, tt.shown, template.String())
			if len(tt.params) > 0 {
				template.Params()[0] = "changed"
				assert.Equal(t, tt.params, template.Params())
			}
		})
	}
}

func TestParseTemplateSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"":                    "template: it is empty",
		"://h/":               "template: missing protocol scheme",
		"nats:///a":           "template: there is no host, want http://host:port/path",
		"nats://me:secret@h/": "template: the URL must not have a user or password",
		"nats://h/#a":         "template: a fragment does not reach an upstream",
		"nats://{id}/":        "template: the host takes no placeholder: a request must not pick the upstream; choose between upstreams in code",
		"nats://a\"b/":        `template: "a\"b" is not a host`,
		"nats://h/a{*}":       "template: {*} stands for whole segments: write /{*}",
		"nats://h/%2e%2e/a":   `template: a segment is "." or ".."`,
		"a.{*}":               "template: {*} stands for whole segments: write /{*}",
		"a/../{id}":           `template: a segment is "." or ".."`,
		"a.{id":               "template: a brace is not part of a placeholder",
		"a.id}":               "template: a brace is not part of a placeholder",
		"a.{i d}":             `template: "i d" is not the name of a placeholder`,
		"a\nb":                "template: it has a control byte",
	}
	for text, want := range tests {
		_, err := backend.ParseTemplate(text)
		assert.EqualError(t, err, want, text)
	}
}

// proves U2, U7
func TestExpandFailsWith502ForAnUnfitValue(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"x://h/{id}", "x://h/?a={id}", "x://h/a-{id}", "a.{id}", "a/{id}/b"} {
		template, err := backend.ParseTemplate(text)
		require.NoError(t, err)
		for _, value := range []string{"", ".", "..", "a\x00b", "a\r", "\nb"} {
			got, err := template.Expand(filled(value))
			assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err), "%s with %q", text, value)
			assert.ErrorContains(t, err, "resolve: param id: ")
			assert.Empty(t, got)
		}
		_, err = template.Expand(&proxy.Request{})
		assert.EqualError(t, err, "resolve: param id: no value")
	}
	for _, text := range []string{"x://h/{*}", "a/{*}"} {
		template, err := backend.ParseTemplate(text)
		require.NoError(t, err)
		for _, value := range []string{".", "..", "a\x00b"} {
			_, err := template.Expand(filled("1", "a", value))
			assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err), "%s with %q", text, value)
		}
		_, err = template.Expand(proxy.NewRequest("GET", "/"))
		assert.EqualError(t, err, "resolve: param *: no value")
	}
}

// FuzzExpand checks that no value adds a level to a name, or a segment or parameter to a URL, and
// that every byte arrives.
//
// proves U2, U3
func FuzzExpand(f *testing.F) {
	for _, s := range []string{"a", "..", "a.b", "*", ">", "+/#", "a?b#c", "%2f", "{id}", "\x00", "\xff", "a b:c", "€"} {
		f.Add(s, s)
	}
	name, err := backend.ParseTemplate("a.{id}/{*}:b")
	require.ErrorContains(f, err, "whole segments")
	require.Nil(f, name)
	name, err = backend.ParseTemplate("a.{id}.b/{*}/c")
	require.NoError(f, err)
	address, err := backend.ParseTemplate("x://h/{id}/{*}?q={id}&y=1")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, id, second string) {
		req := filled(id, second, "z")
		got, err := name.Expand(req)
		at, errAt := address.Expand(req)
		require.Equal(t, err == nil, errAt == nil)
		if err != nil {
			return
		}
		require.False(t, strings.ContainsFunc(got, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_%./", r)
		}), got)
		require.Equal(t, 2, strings.Count(got, "."))
		require.Equal(t, 3, strings.Count(got, "/"))
		plain, err := url.PathUnescape(got)
		require.NoError(t, err)
		require.Equal(t, "a."+id+".b/"+second+"/z/c", plain)

		u, err := url.Parse(at)
		require.NoError(t, err)
		require.Equal(t, "h", u.Host)
		require.Equal(t, 3, strings.Count(u.EscapedPath(), "/"))
		require.Equal(t, "/"+id+"/"+second+"/z", u.Path)
		require.Equal(t, url.Values{"q": {id}, "y": {"1"}}, u.Query())
	})
}
