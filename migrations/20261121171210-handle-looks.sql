-- Apart from the column, whose lock would keep everybody from reading channels as long as this takes.
UPDATE channel c SET handle_look = l.look FROM (
  SELECT id, look, row_number() OVER (PARTITION BY look ORDER BY created_at, id) AS place FROM (
    SELECT id, created_at, replace(replace(translate(handle_key, '1i0_.', 'llo--'), 'm', 'rn'), 'w', 'vv') AS look FROM channel) a) l
WHERE l.id = c.id AND l.place = 1;
