package call

// Joined returns the errors that errors.Join has joined to err, which is how faults come, or err alone.
// Of nil it returns none.
func Joined(err error) []error {
	if list, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // one level, of errors.Join
		return list.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
