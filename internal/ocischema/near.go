package ocischema

import "strings"

// Near returns the member that was probably meant by one that the schema does
// not know at path: its name in another case, or with one letter too many, too
// few, wrong, or two of them swapped. It is empty when there is no such member.
func Near(path string) string {
	dot := strings.LastIndexByte(path, '.')
	place, name := path, ""
	switch {
	case strings.HasSuffix(path, `"]`):
		at := strings.LastIndex(path, `["`)
		if at < 0 {
			return ""
		}
		place, name = path[:at], path[at+2:len(path)-2]
	case dot < 0:
		place, name = "", path
	default:
		place, name = path[:dot], path[dot+1:]
	}
	r := ruleOf(placeOf(place))
	if r == nil {
		return ""
	}
	for _, m := range r.members {
		if strings.EqualFold(m, name) {
			return m
		}
	}
	for _, m := range r.members {
		if len(m) > 3 && oneEdit(strings.ToLower(m), strings.ToLower(name)) {
			return m
		}
	}
	return ""
}

// placeOf leaves the numbers out of a path: mounts[3] becomes mounts[].
func placeOf(path string) string {
	var b strings.Builder
	inside := false
	for i := range len(path) {
		c := path[i]
		if inside = inside && c >= '0' && c <= '9'; !inside {
			b.WriteByte(c)
		}
		inside = inside || c == '['
	}
	return b.String()
}

// oneEdit says that a becomes b by one edit.
func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	ra, rb := a[i:], b[i:]
	switch len(b) - len(a) {
	case 0:
		return len(ra) > 0 && (ra[1:] == rb[1:] || len(ra) > 1 && ra[0] == rb[1] && ra[1] == rb[0] && ra[2:] == rb[2:])
	case 1:
		return ra == rb[1:]
	}
	return false
}
