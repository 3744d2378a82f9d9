package shape

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/sluice-go/sluice/proxy/document"
)

// ErrNotString says that a value of another kind stands where a string is needed. It travels in a [*document.Error]
// with the path.
var ErrNotString = errors.New("not a string")

// Upper returns an op that puts the strings at the paths into upper case, as [strings.ToUpper] does. A path that leads
// nowhere changes nothing, nor does null. A value of another kind is a [*document.Error] that wraps [ErrNotString].
func Upper(paths ...string) Op { return onStrings("upper", nil, strings.ToUpper, paths...) }

// Lower is [Upper] for lower case.
func Lower(paths ...string) Op { return onStrings("lower", nil, strings.ToLower, paths...) }

// Trim is [Upper] that takes white space, as Unicode defines it, off both ends.
func Trim(paths ...string) Op { return onStrings("trim", nil, strings.TrimSpace, paths...) }

// Replace is [Upper] for one path that replaces old by another text, everywhere in the string. The texts are plain: no
// character of theirs has a meaning. An old that is empty, and texts that are not UTF-8, are a fault in the plan.
func Replace(path, old, by string) Op {
	var err error
	switch {
	case old == "":
		err = errors.New("the text to replace is empty")
	case !utf8.ValidString(old) || !utf8.ValidString(by):
		err = document.ErrEncoding
	}
	return onStrings("replace", err, func(s string) string { return strings.ReplaceAll(s, old, by) }, path)
}

// onStrings returns the op that changes the strings at the paths with f, one path after another.
func onStrings(kind string, err error, f func(string) string, paths ...string) Op {
	list := make([]document.Path, len(paths))
	errs := []error{err}
	for i, path := range paths {
		list[i], err = document.ParsePath(path)
		errs = append(errs, err)
	}
	return pure(kind, strings.Join(paths, ", "), errs, func(d document.Document) (document.Document, error) {
		for _, p := range list {
			var err error
			d, err = d.Map(p, func(v document.Document) (document.Document, error) {
				switch v.Kind() {
				case document.String:
				case document.Null:
					return v, nil
				default:
					return document.Document{}, &document.Error{Path: p.String(), Err: ErrNotString}
				}
				text, _ := v.Text()
				if changed := f(text); changed != text {
					return document.Parse(appendString(nil, changed))
				}
				return v, nil
			})
			if err != nil {
				return document.Document{}, err
			}
		}
		return d, nil
	})
}

// appendString appends a text as a JSON string, without the escapes that only HTML needs.
func appendString(dst []byte, text string) []byte {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string can be encoded
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
