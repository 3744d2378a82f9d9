package jsonschema

import (
	"math/big"
	"strconv"
	"strings"
)

const (
	maxDigits   = 400
	maxExponent = 400
)

// soundNumbers reports whether no number in a valid JSON text is too long or too large to compute with.
func soundNumbers(text string) bool {
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			i = behindString(text, i)
		case c == '-' || c-'0' <= 9:
			from := i
			for i++; i < len(text) && isNumberByte(text[i]); i++ {
			}
			if i-from > 4 && !soundNumber(text[from:i]) {
				return false
			}
		default:
			i++
		}
	}
	return true
}

// behindString returns the offset behind the string that begins at i.
func behindString(text string, i int) int {
	for i++; ; {
		i += strings.IndexByte(text[i:], '"') + 1
		back := i - 2
		for text[back] == '\\' {
			back--
		}
		if (i-2-back)%2 == 0 {
			return i
		}
	}
}

func isNumberByte(c byte) bool {
	return c-'0' <= 9 || c == '.' || c == '-' || c == '+' || c|0x20 == 'e'
}

// soundNumber reports whether a number has at most 400 digits and an exponent of at most ±400.
func soundNumber(literal string) bool {
	mantissa, exponent := literal, ""
	if i := strings.IndexAny(literal, "eE"); i >= 0 {
		mantissa, exponent = literal[:i], strings.TrimLeft(literal[i+1:], "+-0")
	}
	if len(strings.Trim(mantissa, "-"))-strings.Count(mantissa, ".") > maxDigits || len(exponent) > 3 {
		return false
	}
	if exponent == "" {
		return true
	}
	e, err := strconv.Atoi(exponent)
	return err == nil && e <= maxExponent
}

// A bound is a number of a schema.
type bound struct {
	exact *big.Rat
	small int64
	whole bool // it is small
}

func boundOf(r *big.Rat) *bound {
	if r == nil {
		return nil
	}
	b := &bound{exact: r}
	if r.IsInt() && r.Num().IsInt64() {
		b.small, b.whole = r.Num().Int64(), true
	}
	return b
}

// A number is a number of a value. It is computed with only where a schema does.
type number struct {
	literal string
	exact   *big.Rat // nil until it is needed
	small   int64
	whole   bool // it is small
}

func numberOf(literal string) number {
	n := number{literal: literal}
	if len(literal) <= 18 {
		if small, err := strconv.ParseInt(literal, 10, 64); err == nil {
			n.small, n.whole = small, true
		}
	}
	return n
}

func (n *number) rat() *big.Rat {
	if n.exact == nil {
		n.exact, _ = new(big.Rat).SetString(n.literal)
		if n.exact == nil {
			n.exact = new(big.Rat) // not with what is a number in JSON
		}
	}
	return n.exact
}

// cmp compares the number with a bound.
func (n *number) cmp(b *bound) int {
	if n.whole && b.whole {
		switch {
		case n.small < b.small:
			return -1
		case n.small > b.small:
			return 1
		}
		return 0
	}
	return n.rat().Cmp(b.exact)
}

// isMultiple reports whether the number is a multiple of a bound, which is above 0.
func (n *number) isMultiple(b *bound) bool {
	if n.whole && b.whole {
		return n.small%b.small == 0
	}
	return new(big.Rat).Quo(n.rat(), b.exact).IsInt()
}

// A decimal is a number as its sign, its digits without zeros at either end, and the power of ten that
// the last digit has. All spellings of a number have the same.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

func decimalOf(literal string) decimal {
	var d decimal
	literal, d.negative = strings.CutPrefix(literal, "-")
	if i := strings.IndexAny(literal, "eE"); i >= 0 {
		d.exponent, _ = strconv.Atoi(literal[i+1:])
		literal = literal[:i]
	}
	whole, fraction, _ := strings.Cut(literal, ".")
	d.exponent -= len(fraction)
	digits := strings.TrimLeft(whole+fraction, "0")
	d.digits = strings.TrimRight(digits, "0")
	d.exponent += len(digits) - len(d.digits)
	if d.digits == "" {
		return decimal{}
	}
	return d
}

// isInteger reports whether a number has no fraction: 1.0 and 1e2 have none.
func isInteger(literal string) bool {
	if !strings.ContainsAny(literal, ".eE") {
		return true
	}
	return decimalOf(literal).exponent >= 0
}

// append writes the number so that equal numbers are equal texts.
func (d decimal) append(dst []byte) []byte {
	if d.digits == "" {
		return append(dst, '0')
	}
	if d.negative {
		dst = append(dst, '-')
	}
	dst = append(dst, d.digits...)
	if d.exponent == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, 'e'), int64(d.exponent), 10)
}
