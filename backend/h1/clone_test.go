package h1

import (
	"crypto/tls"
	"net/http"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A field that is added to Transport has to be cloned too.
func TestACloneHasAllFields(t *testing.T) {
	t.Parallel()
	var full Transport
	v := reflect.ValueOf(&full).Elem()
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i)
		if !name.IsExported() {
			continue
		}
		switch name.Name {
		case "Dial":
			f.Set(reflect.MakeFunc(f.Type(), func([]reflect.Value) []reflect.Value { return nil }))
		case "TLS":
			f.Set(reflect.ValueOf(&tls.Config{ServerName: "a"}))
		case "Fallback":
			f.Set(reflect.ValueOf(http.DefaultTransport))
		case "Address":
			f.SetString("a:80")
		default:
			f.SetInt(7)
		}
	}
	c := reflect.ValueOf(full.Clone()).Elem()
	for i := range v.NumField() {
		if name := v.Type().Field(i); name.IsExported() {
			assert.False(t, c.Field(i).IsZero(), "%s is not cloned", name.Name)
		}
	}
	assert.NotSame(t, full.TLS, full.Clone().TLS)
}
