-- earthdistance 1.1
CREATE FUNCTION earth() RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 6378168::double precision;

CREATE DOMAIN earth AS cube
    CONSTRAINT not_point CHECK (cube_is_point(value))
    CONSTRAINT not_3d CHECK (cube_dim(value) <= 3)
    CONSTRAINT on_surface CHECK (abs(cube_distance(value, '(0)'::cube) / earth() - 1) < 1e-6::double precision);

CREATE FUNCTION sec_to_gc(double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN 2 * earth() * asin(least(greatest($1, 0) / (2 * earth()), 1));

CREATE FUNCTION gc_to_sec(double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN 2 * earth() * sin(least(greatest($1, 0) / earth(), pi()) / 2);

CREATE FUNCTION ll_to_earth(double precision, double precision) RETURNS earth
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN cube(ARRAY[
        earth() * cos(radians($1)) * cos(radians($2)), earth() * cos(radians($1)) * sin(radians($2)), earth() * sin(radians($1))
    ])::earth;

CREATE FUNCTION latitude(earth) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN degrees(asin(least(greatest(cube_ll_coord($1, 3) / earth(), -1), 1)));

CREATE FUNCTION longitude(earth) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN degrees(atan2(cube_ll_coord($1, 2), cube_ll_coord($1, 1)));

CREATE FUNCTION earth_distance(earth, earth) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN sec_to_gc(cube_distance($1, $2));

CREATE FUNCTION earth_box(earth, double precision) RETURNS cube
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN cube_enlarge($1, gc_to_sec($2), 3);

CREATE FUNCTION geo_distance(point, point) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'geo_distance';

CREATE OPERATOR <@> (
    LEFTARG = point, RIGHTARG = point, FUNCTION = geo_distance, COMMUTATOR = <@>
);
