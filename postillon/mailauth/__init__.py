"""Who really sent it: SPF, DKIM, DMARC, ARC and iprev, evaluated and written down. DNS only through a `seams.Resolver` argument."""
