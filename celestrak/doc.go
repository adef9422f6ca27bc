// Package celestrak fetches general perturbations element sets (GP data: TLE
// and OMM) from CelesTrak, https://celestrak.org.
//
// # Model
//
// A Query names a group of satellites, a catalogue number or a launch, and a
// format. A Client answers it with the bytes that CelesTrak sent, after it has
// read them as element sets.
//
// CelesTrak is run by a few people for everybody, and asks its users not to
// fetch the same data twice: it is renewed every two hours at most, and whoever
// goes on asking is shut out (https://celestrak.org/usage-policy.php). So
// answers are cached with the time at which they came:
//
//	age of the cached answer   what happens
//	under Fresh (2 h)          it is used; nothing is sent
//	older                      CelesTrak is asked if it has anything newer;
//	                           if not, the cached answer is used again
//	older, CelesTrak silent    it is used, and Info.Problem says why
//
// There are no retries: any answer but a good one is for a person to look at,
// as the usage policy asks.
//
// # Caveats
//
// CelesTrak counts by public address. Behind a shared one it may say "not
// updated since your last download" of what somebody else has downloaded
// (ReasonNotUpdated); waiting helps, or the other one's file.
//
// TLE has no room for catalogue numbers above 339999 (Alpha-5), and CelesTrak
// leaves everything above 99999 out of it. OMM in JSON, the default, has all.
package celestrak
