package cel

import (
	"math"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/sluice-go/sluice/proxy/document"
)

// maxMembers is how many members of an object or array an expression may go through.
const maxMembers = 100_000

// worthKeeping is from how many bytes on a value is not made again.
const worthKeeping = 64

// An adapter makes values of CEL. Those of a document are made when they are asked for, one level at a
// time. The adapter of an evaluation makes each large one once: a loop may ask for it again and again,
// and its cost does not tell how large it is.
type adapter struct {
	made  map[document.Document]ref.Val
	depth int // of the value in others
}

// maxDepth is how deep a value may be. CEL compares values level by level, and one that contains itself
// would take the stack of the process.
const maxDepth = 1000

// NativeToValue returns v as a value of CEL.
func (a adapter) NativeToValue(v any) ref.Val {
	if a.depth > maxDepth {
		return types.NewErr("a value is more than %d levels deep", maxDepth)
	}
	a.depth++
	switch v := v.(type) {
	case document.Document:
		if made := a.made[v]; made != nil {
			return made
		}
		made := a.document(v)
		if a.made != nil && v.Size() > worthKeeping {
			a.made[v] = made
		}
		return made
	case map[string]any:
		return types.NewStringInterfaceMap(a, v)
	case []any:
		return types.NewDynamicList(a, v)
	case map[string][]string:
		return types.NewDynamicMap(a, v)
	case http.Header:
		return types.NewDynamicMap(a, map[string][]string(v))
	case url.Values:
		return types.NewDynamicMap(a, map[string][]string(v))
	case map[string]document.Document:
		return types.NewDynamicMap(a, v)
	case []document.Document:
		return types.NewDynamicList(a, v)
	}
	a.depth--
	return a.reflected(v)
}

// reflected returns a value of another type, whose parts may be of any type.
func (a adapter) reflected(v any) ref.Val {
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
	default:
		return types.DefaultTypeAdapter.NativeToValue(v)
	}
	switch r.Type().Elem().Kind() {
	case reflect.Interface, reflect.Pointer, reflect.Slice, reflect.Map:
	default:
		return types.DefaultTypeAdapter.NativeToValue(v)
	}
	a.depth++
	switch {
	case r.IsNil():
	case r.Kind() == reflect.Pointer:
		return a.NativeToValue(r.Elem().Interface())
	case r.Kind() == reflect.Slice:
		return types.NewDynamicList(a, v)
	case r.Kind() == reflect.Map:
		return types.NewDynamicMap(a, v)
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

func (a adapter) document(d document.Document) ref.Val {
	switch d.Kind() {
	case document.Object:
		if d.Len() > maxMembers {
			return types.NewErr("an object has more than %d members", maxMembers)
		}
		members := make(map[string]any, d.Len())
		for name, v := range d.Members() { // the last of several, as Get
			members[name] = v
		}
		return types.NewStringInterfaceMap(a, members)
	case document.Array:
		n := d.Len()
		if n > maxMembers {
			return types.NewErr("an array has more than %d elements", maxMembers)
		}
		elements := make([]any, 0, n)
		for _, v := range d.Elements() {
			elements = append(elements, v)
		}
		return types.NewDynamicList(a, elements)
	case document.String:
		s, _ := d.Text()
		return types.String(s)
	case document.Number:
		s, _ := d.Text()
		return number(s)
	case document.Bool:
		return types.Bool(d.String() == "true")
	}
	return types.NullValue // null, or absent
}

// number returns the value of a number of JSON, or an error if it would be another one.
func number(s string) ref.Val {
	if !strings.ContainsAny(s, ".eE") {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return types.Int(n)
		}
		if n, err := strconv.ParseUint(s, 10, 64); err == nil {
			return types.Uint(n)
		}
		return types.NewErr("an integer has more than 64 bits")
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) {
		return types.NewErr("a number is beyond those of 64 bits")
	}
	return types.Double(f)
}
